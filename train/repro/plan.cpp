#include "train/repro/plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "train/repro/language_tests.h"
#include "train/resolve.h"
#include "train/task.h"

namespace farsight {
namespace {

void append(NamedSettings& to, const NamedSettings& more) {
  to.insert(to.end(), more.begin(), more.end());
}

/// Without what a level or a user sets twice: the later one stays.
NamedSettings last_of_each(const NamedSettings& given) {
  NamedSettings result;
  for (auto entry = given.begin(); entry != given.end(); ++entry) {
    const bool again = std::any_of(entry + 1, given.end(),
                                   [&](const auto& later) { return later.first == entry->first; });
    if (!again) result.push_back(*entry);
  }
  return result;
}

std::string name_of(const Training& training, double rate, std::int64_t seed) {
  return fmt::format("{}-{}{}{}-seed{}", training.task, training.model,
                     training.control ? "-control" : "", rate > 0 ? fmt::format("-lr{}", rate) : "",
                     seed);
}

PlannedRun planned(const ReproOptions& options, const Training& training, double rate,
                   std::int64_t seed) {
  PlannedRun run{
      .name = name_of(training, rate, seed), .training = training, .seed = seed, .settings = {}};
  NamedSettings given = {{"run.task", training.task},
                         {"run.model", training.model},
                         {"run.preset", std::string(repro_level(options.level).preset)},
                         {"run.seed", fmt::format("{}", seed)}};
  append(given, level_settings(options.level, training));
  append(given, options.settings);
  if (rate > 0) given.emplace_back("train.lr", fmt::format("{}", rate));
  if (training.control) append(given, control_settings());
  run.given = last_of_each(given);
  run.settings = resolved_settings(run.given);
  for (const Trial& trial : trials_of(options.wanted)) {
    if (trial.training == training) run.tests.push_back(trial.test);
  }
  if (is_language_model(run.settings)) {
    if (options.tests) run.tests = language_tests_there(run.settings, run.tests);
    run.language_items = repro_level(options.level).language_items;
  }
  return run;
}

}  // namespace

Settings resolved_settings(const NamedSettings& given) {
  Assignments assignments;
  for (const auto& [name, text] : given) {
    const Setting& setting = setting_named(name);
    const std::string where = fmt::format("--{}", name);
    assignments.push_back({&setting, parse_value(setting, text, where), where});
  }
  return resolve({}, assignments).settings;
}

std::vector<PlannedRun> plan_runs(const ReproOptions& options) {
  std::vector<PlannedRun> runs;
  const std::vector<double> rates = options.rates.empty() ? std::vector<double>{0} : options.rates;
  for (const Training& training : trainings_of(options.wanted)) {
    for (const double rate : rates) {
      for (std::int64_t i = 0; i < options.seeds; i++) {
        runs.push_back(planned(options, training, rate, kFirstSeed + i));
      }
    }
  }
  return runs;
}

std::vector<std::string> training_words(const PlannedRun& run, const std::filesystem::path& folder,
                                        const NamedSettings& around) {
  std::vector<std::string> words = {"train"};
  NamedSettings all = run.given;
  append(all, around);
  all.emplace_back("run.out", folder.string());
  for (const auto& [name, text] : last_of_each(all)) {
    words.push_back(fmt::format("--{}={}", name, text));
  }
  return words;
}

}  // namespace farsight
