#include "train/run_folder.h"

#include <algorithm>

#include "core/check.h"
#include "core/files.h"
#include "train/checkpoint.h"
#include "train/toml.h"

namespace farsight {

namespace fs = std::filesystem;

fs::path file_of_run(const fs::path& path, std::string_view name) {
  fs::path folder = path.lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "runs/a/"
  std::error_code none;
  for (int up = 0; up < 3; up++) {
    if (fs::exists(folder / name, none)) return folder / name;
    folder = folder.parent_path();
  }
  return {};
}

std::optional<Settings> stored_settings(const fs::path& run) {
  try {
    Settings settings;
    for (const Assignment& assignment : read_toml_file(run / "config.toml")) {
      assignment.setting->set(settings, assignment.value);
    }
    return settings;
  } catch (const Error&) {
    return std::nullopt;
  }
}

fs::path best_or_latest(const fs::path& run) {
  const fs::path best = pointed_checkpoint(run, "best");
  return best.empty() ? pointed_checkpoint(run, "latest") : best;
}

fs::path trained_checkpoint(const fs::path& run) {
  const fs::path found = best_or_latest(run);
  require(!found.empty(), ExitCode::data, "'{}' has no checkpoint: train it first", run.string());
  return found;
}

MetricLines metric_lines(const fs::path& run) {
  MetricLines found;
  const fs::path path = run / "metrics.jsonl";
  std::error_code none;
  const std::string text = fs::exists(path, none) ? read_file(path) : "";
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    try {
      found.lines.push_back(
          Json::parse(std::string_view(text).substr(begin, end - begin), path.string()));
    } catch (const Error&) {
      found.unreadable++;
    }
    begin = end + 1;
  }
  return found;
}

std::optional<double> number_in(const Json& object, std::string_view key) {
  const Json* member = object.is_object() ? object.find(key) : nullptr;
  return member != nullptr && member->is_number() ? std::optional(member->as_double())
                                                  : std::nullopt;
}

}  // namespace farsight
