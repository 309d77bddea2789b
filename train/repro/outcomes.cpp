#include "train/repro/outcomes.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/check.h"

namespace farsight {

Outcomes::Outcomes(std::vector<PlannedRun> runs, std::vector<RunOutcome> outcomes)
    : runs_(std::move(runs)), outcomes_(std::move(outcomes)) {
  check(runs_.size() == outcomes_.size(), "Outcomes: {} runs and {} outcomes", runs_.size(),
        outcomes_.size());
}

std::optional<double> Outcomes::rate_of(const Training& training) const {
  std::map<double, std::vector<double>> validations;  // by rate
  for (std::size_t i = 0; i < runs_.size(); i++) {
    if (runs_[i].training != training) continue;
    std::vector<double>& of_this_rate = validations[runs_[i].settings.train.lr];
    if (outcomes_[i].validation) of_this_rate.push_back(*outcomes_[i].validation);
  }
  if (validations.size() == 1) return validations.begin()->first;
  std::optional<double> best;
  double highest = 0;
  for (const auto& [rate, values] : validations) {
    if (values.empty()) continue;
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
    if (runs_[i].training == training && rate && runs_[i].settings.train.lr == *rate) {
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

bool Outcomes::complete(const Wanted& wanted) const {
  const std::vector<Trial> trials = trials_of(wanted);
  const std::vector<Training> trainings = trainings_of(wanted);
  return std::all_of(trials.begin(), trials.end(),
                     [&](const Trial& trial) { return accuracy(trial).has_value(); }) &&
         std::all_of(trainings.begin(), trainings.end(), [&](const Training& training) {
           const std::vector<std::size_t> runs = chosen(training);
           return std::any_of(runs.begin(), runs.end(),
                              [&](std::size_t run) { return outcomes_[run].trained; });
         });
}

std::string Outcomes::problem(const Trial& trial) const {
  bool planned = false;
  for (std::size_t i = 0; i < runs_.size(); i++) {
    if (runs_[i].training != trial.training) continue;
    planned = true;
    if (outcomes_[i].scores.contains(trial.test)) continue;
    return outcomes_[i].problem.empty() ? "not tested" : outcomes_[i].problem;
  }
  if (!planned) return "not planned";
  return rate_of(trial.training) ? "not tested"
                                 : "no validation can be read that would choose a learning rate";
}

}  // namespace farsight
