#include "train/operations/resume.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/check.h"
#include "core/files.h"
#include "train/checkpoint.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

std::string short_name(std::int64_t step) {
  return fmt::format("step-{}", step);
}

/// What is wrong with a checkpoint of a run of ours; empty if it can be used.
std::string damage(const fs::path& checkpoint, ExitCode& code) {
  try {
    require(!fs::is_directory(checkpoint) || fs::exists(checkpoint / "manifest.json"),
            ExitCode::corrupt, "checkpoint '{}' lacks its file 'manifest.json'",
            checkpoint.string());
    verify_checkpoint(checkpoint);
  } catch (const Error& error) {
    code = error.code();
    return error.what();
  }
  return {};
}

/// Where `latest` leads; a pointer that cannot be read is as none.
std::optional<std::int64_t> newest_step(const fs::path& run, std::string& problem) {
  try {
    const fs::path newest = pointed_checkpoint(run, "latest");
    return newest.empty() ? std::nullopt : resume_step(newest.filename().string());
  } catch (const Error& error) {
    problem = error.what();
    return std::nullopt;
  }
}

/// The newest whole one of those before `step`.
std::optional<std::int64_t> whole_before(const fs::path& run, std::int64_t step) {
  for (const std::int64_t each : checkpoint_steps(run)) {
    ExitCode ignored = ExitCode::ok;
    if (each < step && damage(run / checkpoint_name(each), ignored).empty()) return each;
  }
  return std::nullopt;
}

ResumePoint newest(const fs::path& run, bool may_fall_back) {
  constexpr std::int64_t kAfterAll = INT64_MAX;
  const std::vector<std::int64_t> steps = checkpoint_steps(run);
  std::string problem;
  const std::optional<std::int64_t> named = newest_step(run, problem);
  if (!named && problem.empty()) return {};  // killed before the first was complete
  ExitCode code = ExitCode::corrupt;
  if (named) problem = damage(run / checkpoint_name(*named), code);
  if (problem.empty()) return {run / checkpoint_name(*named)};
  const std::optional<std::int64_t> before = whole_before(run, named.value_or(kAfterAll));
  if (may_fall_back && before) {
    return {run / checkpoint_name(*before),
            fmt::format("{}; going on from {}, the newest before it that is whole", problem,
                        checkpoint_name(*before))};
  }
  if (!before) {
    fail(code, "{}; the run has no other checkpoint that is whole: --resume never starts again",
         problem);
  }
  fail(code, "{}; --resume auto, or --resume {}, goes on from the newest before it that is whole",
       problem, short_name(*before));
}

}  // namespace

std::optional<std::int64_t> resume_step(std::string_view resume) {
  constexpr std::string_view kStart = "step-";
  if (!resume.starts_with(kStart)) return std::nullopt;
  resume.remove_prefix(kStart.size());
  std::int64_t step = 0;
  const char* end = resume.data() + resume.size();
  const auto [rest, error] = std::from_chars(resume.data(), end, step);
  if (error != std::errc() || rest != end || step < 0) return std::nullopt;
  return step;
}

bool resumes_path(std::string_view resume) {
  return resume != "auto" && resume != "never" && !resume_step(resume);
}

std::vector<std::int64_t> checkpoint_steps(const fs::path& run) {
  std::vector<std::int64_t> steps;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(run, none)) {
    const std::string name = entry.path().filename().string();
    const auto step = resume_step(name);
    if (step && entry.is_directory() && name == checkpoint_name(*step)) steps.push_back(*step);
  }
  std::sort(steps.rbegin(), steps.rend());
  return steps;
}

ResumePoint resume_point(const TrainOptions& options, const fs::path& run, bool continues) {
  if (const auto step = resume_step(options.resume)) {
    const fs::path asked = run / checkpoint_name(*step);
    if (!fs::is_directory(asked)) {
      std::vector<std::string> names;
      for (const std::int64_t each : checkpoint_steps(run)) {
        names.push_back(short_name(each));
      }
      fail(ExitCode::data, "--resume {}: {} has no such checkpoint; {}", options.resume,
           run.string(),
           names.empty() ? "it has none" : fmt::format("it has {}", fmt::join(names, ", ")));
    }
    ExitCode code = ExitCode::corrupt;
    const std::string problem = damage(asked, code);
    if (!problem.empty()) fail(code, "{}", problem);
    return {asked};
  }
  if (resumes_path(options.resume)) {
    const bool is_run = fs::exists(fs::path(options.resume) / "config.toml");
    return is_run ? newest(run, false) : ResumePoint{options.resume};
  }
  return continues ? newest(run, options.may_fall_back) : ResumePoint{};
}

}  // namespace farsight
