#include "train/repro/outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "data/task_description.h"
#include "train/run_folder.h"

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

/// Lines of metrics.jsonl; a torn last one is left out.
std::vector<Json> metric_lines(const fs::path& folder) {
  std::vector<Json> lines;
  const fs::path path = folder / "metrics.jsonl";
  const std::string text = read_file(path);
  for (std::size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    lines.push_back(Json::parse(text.substr(begin, end - begin), path.string()));
  }
  return lines;
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
  const std::vector<Json> lines = metric_lines(paths.folder);
  if (lines.empty()) return "begun";
  return fmt::format("not finished: {} steps done", lines.back().at("step").as_int());
}

void read_result(const Json& json, RunOutcome& outcome) {
  add_scores(json.at("accuracy"), outcome.scores);
  outcome.steps = json.at("steps").as_int();
  outcome.tokens = json.at("tokens").as_int();
  outcome.parameters = json.at("parameters").as_int();
  outcome.seconds = json.at("seconds").as_double();
  outcome.tokens_per_second = json.at("tokens_per_second").as_double();
  outcome.stopped_by = json.at("stopped_by").as_string();
  outcome.device = json.at("device").as_string();
}

}  // namespace

std::vector<std::string> further_tests(const PlannedRun& run) {
  const std::vector<std::string> own = test_tasks(run.training.task);
  std::vector<std::string> further;
  for (const std::string& test : run.tests) {
    if (std::find(own.begin(), own.end(), test) == own.end()) further.push_back(test);
  }
  return further;
}

RunPaths paths_of(const fs::path& out, const PlannedRun& run) {
  return {.folder = out / "runs" / run.name,
          .tests = out / "tests" / (run.name + ".json"),
          .log = out / "logs" / (run.name + ".log"),
          .failure = out / "logs" / (run.name + ".failure")};
}

std::vector<Validation> validations_of(const fs::path& folder) {
  std::vector<Validation> found;
  try {
    for (const Json& line : metric_lines(folder)) {
      const Json* accuracy = line.find("valid_accuracy");
      if (accuracy != nullptr) found.push_back({line.at("step").as_int(), accuracy->as_double()});
    }
  } catch (const Error&) {
    return found;
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
  std::error_code none;
  return fs::exists(paths.folder / "result.json", none) && other_settings(run, paths).empty();
}

bool is_tested(const PlannedRun& run, const RunPaths& paths) {
  const std::vector<std::string> tests = further_tests(run);
  std::error_code none;
  if (tests.empty()) return true;
  if (!fs::exists(paths.tests, none)) return false;
  // Tested before the training was finished again: an older model's numbers.
  if (fs::last_write_time(paths.tests) < fs::last_write_time(paths.folder / "result.json")) {
    return false;
  }
  try {
    const Json json = read_json(paths.tests);
    return std::all_of(tests.begin(), tests.end(),
                       [&](const std::string& test) { return json.contains(test); });
  } catch (const Error&) {
    return false;
  }
}

RunOutcome read_outcome(const PlannedRun& run, const RunPaths& paths) {
  RunOutcome outcome;
  try {
    if (!is_trained(run, paths)) {
      outcome.problem = progress_of(run, paths);
      return outcome;
    }
    const Json result = read_json(paths.folder / "result.json");
    read_result(result, outcome);
    outcome.validation = validation_at(paths.folder, result.at("tested_step").as_int());
    outcome.trained = true;
    if (is_tested(run, paths)) {
      if (!further_tests(run).empty()) add_scores(read_json(paths.tests), outcome.scores);
    } else {
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

Outcomes::Outcomes(std::vector<PlannedRun> runs, std::vector<RunOutcome> outcomes)
    : runs_(std::move(runs)), outcomes_(std::move(outcomes)) {
  check(runs_.size() == outcomes_.size(), "Outcomes: {} runs and {} outcomes", runs_.size(),
        outcomes_.size());
}

std::optional<double> Outcomes::rate_of(const Training& training) const {
  std::map<double, std::vector<double>> validations;
  for (std::size_t i = 0; i < runs_.size(); i++) {
    if (runs_[i].training == training && outcomes_[i].validation) {
      validations[runs_[i].settings.train.lr].push_back(*outcomes_[i].validation);
    }
  }
  std::optional<double> best;
  double highest = 0;
  for (const auto& [rate, values] : validations) {
    const double mean = seed_statistics(values).mean;
    if (best && mean <= highest) continue;
    best = rate;
    highest = mean;
  }
  return best;
}

std::vector<std::size_t> Outcomes::chosen(const Training& training) const {
  const std::optional<double> rate = rate_of(training);
  std::vector<std::size_t> runs;
  for (std::size_t i = 0; i < runs_.size(); i++) {
    if (runs_[i].training == training && (!rate || runs_[i].settings.train.lr == *rate)) {
      runs.push_back(i);
    }
  }
  return runs;
}

std::vector<const TestScore*> Outcomes::scores(const Trial& trial) const {
  std::vector<const TestScore*> found;
  for (const std::size_t run : chosen(trial.training)) {
    const auto score = outcomes_[run].scores.find(trial.test);
    if (score != outcomes_[run].scores.end()) found.push_back(&score->second);
  }
  return found;
}

std::optional<SeedStatistics> Outcomes::accuracy(const Trial& trial) const {
  std::vector<double> values;
  for (const TestScore* score : scores(trial)) {
    values.push_back(score->pair);
  }
  if (values.empty()) return std::nullopt;
  return seed_statistics(values);
}

std::optional<std::vector<double>> Outcomes::section_shares(const Trial& trial) const {
  std::vector<double> sums;
  double seeds = 0;
  for (const TestScore* score : scores(trial)) {
    if (score->sections.empty()) return std::nullopt;
    sums.resize(score->sections.size());
    for (std::size_t i = 0; i < sums.size(); i++)
      sums[i] += score->sections.at(i);
    seeds++;
  }
  if (seeds == 0) return std::nullopt;
  for (double& sum : sums)
    sum /= seeds;
  return sums;
}

std::string Outcomes::problem(const Trial& trial) const {
  for (std::size_t i = 0; i < runs_.size(); i++) {
    if (runs_[i].training != trial.training || outcomes_[i].scores.contains(trial.test)) continue;
    return outcomes_[i].problem.empty() ? "not tested" : outcomes_[i].problem;
  }
  return "not planned";
}

}  // namespace farsight
