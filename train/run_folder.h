// What a run left in its folder (run_record.h), for whoever comes after it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "train/settings.h"

namespace farsight {

/// The file of this name in the folder of the run that `path` is, or is a checkpoint or a file of; empty
/// when there is none.
std::filesystem::path file_of_run(const std::filesystem::path& path, std::string_view name);

/// The settings in its config.toml; nothing where that is damaged or of another version.
std::optional<Settings> stored_settings(const std::filesystem::path& run);

/// The folder of its best checkpoint, or of its latest; empty where it has none.
std::filesystem::path best_or_latest(const std::filesystem::path& run);

/// The same where there must be one: throws Error(data) otherwise.
std::filesystem::path trained_checkpoint(const std::filesystem::path& run);

/// Its metrics.jsonl: the lines that can be read, in order. A process that is killed leaves a torn
/// one, a machine that crashes damaged ones. Nothing at all where there is no such file.
struct MetricLines {
  std::vector<Json> lines{};
  std::int64_t unreadable = 0;
};
MetricLines metric_lines(const std::filesystem::path& run);

/// A member of what runs of any version wrote: nothing where it is missing or no number.
std::optional<double> number_in(const Json& object, std::string_view key);

}  // namespace farsight
