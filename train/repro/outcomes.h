// What the runs of a reproduction amount to, taken together: learning rates chosen, seeds averaged.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "train/repro/outcome.h"
#include "train/repro/plan.h"
#include "train/repro/seeds.h"

namespace farsight {

/// All runs of a reproduction.
class Outcomes {
 public:
  Outcomes(std::vector<PlannedRun> runs, std::vector<RunOutcome> outcomes);

  const std::vector<PlannedRun>& runs() const { return runs_; }
  const RunOutcome& of(std::size_t run) const { return outcomes_[run]; }

  /// The learning rate with the highest mean validation accuracy over the seeds that are there;
  /// where all runs have the same, that one. Nothing when there are several and no run of any of
  /// them has a validation that can be read.
  std::optional<double> rate_of(const Training& training) const;
  /// The runs of a training with its chosen learning rate, in the order of seeds; none without one.
  std::vector<std::size_t> chosen(const Training& training) const;
  /// Over the seeds that are there; nothing when none is.
  std::optional<SeedStatistics> accuracy(const Trial& trial) const;
  /// Scores of each seed that is there.
  std::vector<const TestScore*> scores(const Trial& trial) const;
  /// Of a test that has every pair in four sections (position-robustness, Figure 6a): the share of
  /// answers that each section gave, and that of all others, percent, mean over cells and seeds.
  std::optional<std::vector<double>> section_shares(const Trial& trial) const;
  /// Whether every trial and every training of these exhibits is there, with one seed at least.
  bool complete(const Wanted& wanted) const;
  /// Why a number is not there: of the first run that lacks it.
  std::string problem(const Trial& trial) const;

 private:
  std::vector<PlannedRun> runs_;
  std::vector<RunOutcome> outcomes_;
};

}  // namespace farsight
