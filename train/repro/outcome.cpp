#include "train/repro/outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "train/repro/language_tests.h"
#include "train/run_folder.h"
#include "train/task.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// "64x4"
std::pair<int, int> cell_of(const std::string& name) {
  std::pair<int, int> cell;
  const char* end = name.data() + name.size();
  const auto [cross, bad_length] = std::from_chars(name.data(), end, cell.first);
  require(bad_length == std::errc() && cross != end && *cross == 'x', ExitCode::corrupt,
          "'{}' is no cell", name);
  const auto [rest, bad_pairs] = std::from_chars(cross + 1, end, cell.second);
  require(bad_pairs == std::errc() && rest == end, ExitCode::corrupt, "'{}' is no cell", name);
  return cell;
}

/// The member `accuracy` of result.json, or what `eval --json` prints.
void add_scores(const Json& accuracy, std::map<std::string, TestScore>& scores) {
  for (const Json::Member& task : accuracy.members()) {
    TestScore score{.pair = task.value.at("pair").as_double(),
                    .token = task.value.at("token").as_double()};
    for (const Json::Member& cell : task.value.at("cells").members()) {
      score.cells[cell_of(cell.key)] = cell.value.as_double();
    }
    if (const Json* ceiling = task.value.find("ceiling")) {
      if (ceiling->is_number()) score.ceiling = ceiling->as_double();
    }
    if (const Json* sections = task.value.find("sections")) {
      for (const Json::Member& section : sections->members())
        score.sections.push_back(section.value.as_double());
    }
    scores[task.key] = std::move(score);
  }
}

std::optional<double> validation_at(const fs::path& folder, std::int64_t step) {
  std::optional<double> found;
  for (const Validation& validation : validations_of(folder)) {
    if (validation.step == step) found = validation.accuracy;
  }
  return found;
}

std::string first_line_of(const fs::path& path) {
  const std::string text = read_file(path);
  return text.substr(0, text.find('\n'));
}

std::string progress_of(const PlannedRun& run, const RunPaths& paths) {
  std::error_code none;
  if (fs::exists(paths.failure, none)) return "failed: " + first_line_of(paths.failure);
  if (!fs::exists(paths.folder / "config.toml", none)) return "not started";
  const std::string other = other_settings(run, paths);
  if (!other.empty()) return "the folder holds a run of other settings: " + other;
  if (fs::exists(paths.folder / "result.json", none)) return "its result.json is damaged";
  const std::vector<Json> lines = metric_lines(paths.folder).lines;
  const std::optional<double> step = lines.empty() ? std::nullopt : number_in(lines.back(), "step");
  return step ? fmt::format("not finished: {:.0f} steps done", *step) : "begun";
}

RunOutcome read_result(const Json& json) {
  RunOutcome outcome;
  add_scores(json.at("accuracy"), outcome.scores);
  outcome.steps = json.at("steps").as_int();
  outcome.tokens = json.at("tokens").as_int();
  outcome.parameters = json.at("parameters").as_int();
  outcome.seconds = json.at("seconds").as_double();
  outcome.tokens_per_second = json.at("tokens_per_second").as_double();
  outcome.stopped_by = json.at("stopped_by").as_string();
  outcome.device = json.at("device").as_string();
  outcome.parameter_hash = json.at("parameter_hash").as_string();
  outcome.tested_step = json.at("tested_step").as_int();
  outcome.trained = true;
  return outcome;
}

/// What result.json says; nothing where it is not there, is damaged, or is another run's.
std::optional<RunOutcome> finished(const PlannedRun& run, const RunPaths& paths) {
  std::error_code none;
  if (!fs::exists(paths.folder / "result.json", none)) return std::nullopt;
  if (!other_settings(run, paths).empty()) return std::nullopt;
  try {
    return read_result(read_json(paths.folder / "result.json"));
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The same of language tasks, from the results of an evaluation.
void add_language_scores(const PlannedRun& run, const Json& results, RunOutcome& outcome) {
  const Json& evaluated = results.at("parameter_hash");
  if (evaluated.as_string() != outcome.parameter_hash) return;
  for (const std::string& test : run.tests) {
    if (const auto score = language_score(results, test)) outcome.scores[test] = {.pair = *score};
  }
}

/// Of the tests that were made after the training: those of the very parameters that it ended with.
void add_later_scores(const PlannedRun& run, const fs::path& tests, RunOutcome& outcome) {
  std::error_code none;
  if (!fs::exists(tests, none)) return;
  try {
    const Json json = read_json(tests);
    if (is_language_model(run.settings)) return add_language_scores(run, json, outcome);
    Json ours = Json::object();
    for (const Json::Member& task : json.members()) {
      const Json* hash = task.value.find("parameter_hash");
      const bool same =
          hash != nullptr && hash->is_string() && hash->as_string() == outcome.parameter_hash;
      if (same) ours[task.key] = task.value;
    }
    add_scores(ours, outcome.scores);
  } catch (const Error&) {
    return;  // damaged: they will be made again
  }
}

std::vector<std::string> tests_without_scores(const PlannedRun& run, const RunOutcome& outcome) {
  std::vector<std::string> tests;
  for (const std::string& test : run.tests) {
    if (!outcome.scores.contains(test)) tests.push_back(test);
  }
  return tests;
}

}  // namespace

std::vector<std::string> further_tests(const PlannedRun& run, const RunPaths& paths) {
  if (const auto outcome = finished(run, paths)) return tests_without_scores(run, *outcome);
  RunOutcome expected;
  for (const std::string& test : test_tasks_of(run.settings))
    expected.scores[test];
  return tests_without_scores(run, expected);
}

bool result_is_damaged(const PlannedRun& run, const RunPaths& paths) {
  std::error_code none;
  return fs::exists(paths.folder / "result.json", none) && other_settings(run, paths).empty() &&
         !finished(run, paths);
}

RunPaths paths_of(const fs::path& out, const PlannedRun& run) {
  return {.folder = out / "runs" / run.name,
          .tests = out / "tests" / (run.name + ".json"),
          .log = out / "logs" / (run.name + ".log"),
          .failure = out / "logs" / (run.name + ".failure")};
}

std::vector<Validation> validations_of(const fs::path& folder) {
  std::vector<Validation> found;
  for (const Json& line : metric_lines(folder).lines) {
    const auto step = number_in(line, "step"), perplexity = number_in(line, "valid_perplexity");
    auto accuracy = number_in(line, "valid_accuracy");
    if (perplexity) accuracy = 100 - std::log(*perplexity);
    if (step && accuracy) found.push_back({static_cast<std::int64_t>(*step), *accuracy});
  }
  return found;
}

std::string other_settings(const PlannedRun& run, const RunPaths& paths) {
  std::error_code none;
  if (!fs::exists(paths.folder / "config.toml", none)) return "";
  const std::optional<Settings> there = stored_settings(paths.folder);
  if (!there) return "its config.toml cannot be read";
  std::vector<std::string_view> names = different_settings(*there, run.settings);
  std::erase(names, "run.device");  // a report may be written elsewhere than where runs were made
  if (names.empty()) return "";
  const Setting& setting = setting_named(names.front());
  return fmt::format("{} = {} there, {} wanted", setting.name, toml_of(setting.get(*there)),
                     toml_of(setting.get(run.settings)));
}

bool is_trained(const PlannedRun& run, const RunPaths& paths) {
  return finished(run, paths).has_value();
}

bool is_tested(const PlannedRun& run, const RunPaths& paths) {
  std::optional<RunOutcome> outcome = finished(run, paths);
  if (!outcome) return false;
  add_later_scores(run, paths.tests, *outcome);
  return tests_without_scores(run, *outcome).empty();
}

RunOutcome read_outcome(const PlannedRun& run, const RunPaths& paths) {
  RunOutcome outcome;
  try {
    std::optional<RunOutcome> found = finished(run, paths);
    if (!found) {
      outcome.problem = progress_of(run, paths);
      return outcome;
    }
    outcome = std::move(*found);
    outcome.validation = validation_at(paths.folder, outcome.tested_step);
    add_later_scores(run, paths.tests, outcome);
    if (!tests_without_scores(run, outcome).empty()) {
      std::error_code none;
      outcome.problem = fs::exists(paths.failure, none)
                            ? "trained, but its tests failed: " + first_line_of(paths.failure)
                            : "trained, but not tested on all of them yet";
    }
  } catch (const Error& error) {
    outcome.problem = error.what();
  }
  return outcome;
}

}  // namespace farsight
