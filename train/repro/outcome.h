// What the runs of a reproduction left on the disk, and what it amounts to.
//
//   OUT/runs/NAME/       the run's own folder (train/run_record.h)
//   OUT/tests/NAME.json  tests that the run does not make itself: what `eval --json` printed
//   OUT/logs/NAME.log    stderr of its processes; NAME.failure the reason why it was given up
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/repro/plan.h"
#include "train/repro/seeds.h"

namespace farsight {

struct RunPaths {
  std::filesystem::path folder, tests, log, failure;
};
RunPaths paths_of(const std::filesystem::path& out, const PlannedRun& run);

/// Scores on one task, percent.
struct TestScore {
  double pair = 0;
  double token = 0;
  std::optional<double> ceiling{};                ///< attainable pair accuracy
  std::vector<double> sections{};                 ///< see Outcomes::section_shares
  std::map<std::pair<int, int>, double> cells{};  ///< (length, pairs): pair accuracy
};

struct RunOutcome {
  bool trained = false;
  std::string problem{};  ///< why it is not trained or tested, a phrase; empty when all is there
  std::map<std::string, TestScore> scores{};  ///< by task
  std::optional<double> validation{};         ///< pair accuracy of the tested checkpoint, percent
  std::int64_t steps = 0, tokens = 0, parameters = 0;
  double seconds = 0, tokens_per_second = 0;
  std::string stopped_by{}, device{};
};

/// Tests that `run` needs and that its own training command does not make.
std::vector<std::string> further_tests(const PlannedRun& run);

/// Whether the folder holds this run, finished: same settings, and a result.
bool is_trained(const PlannedRun& run, const RunPaths& paths);
/// Whether the further tests are there as well.
bool is_tested(const PlannedRun& run, const RunPaths& paths);

/// A line of a run's metrics.jsonl that has a validation.
struct Validation {
  std::int64_t step = 0;
  double accuracy = 0;  ///< pairs, percent
};
/// Empty where there is none, or the file cannot be read.
std::vector<Validation> validations_of(const std::filesystem::path& folder);

/// Never throws for what a run left: a file that cannot be read is a problem of its run.
RunOutcome read_outcome(const PlannedRun& run, const RunPaths& paths);

/// The name of a setting in which a run of this name that is on the disk differs, with both values;
/// empty when it is this run, or none.
std::string other_settings(const PlannedRun& run, const RunPaths& paths);

/// All runs of a reproduction.
class Outcomes {
 public:
  Outcomes(std::vector<PlannedRun> runs, std::vector<RunOutcome> outcomes);

  const std::vector<PlannedRun>& runs() const { return runs_; }
  const RunOutcome& of(std::size_t run) const { return outcomes_[run]; }

  /// The learning rate with the highest mean validation accuracy over the seeds that are there;
  /// with one rate that one. Nothing when no run of the training is there.
  std::optional<double> rate_of(const Training& training) const;
  /// The runs of a training with its chosen learning rate, in the order of seeds.
  std::vector<std::size_t> chosen(const Training& training) const;
  /// Over the seeds that are there; nothing when none is.
  std::optional<SeedStatistics> accuracy(const Trial& trial) const;
  /// Scores of each seed that is there.
  std::vector<const TestScore*> scores(const Trial& trial) const;
  /// Of a test that has every pair in four sections (tasks.md 4.1): the share of answers that each
  /// section gave, and that of all others, percent, mean over cells and seeds.
  std::optional<std::vector<double>> section_shares(const Trial& trial) const;
  /// Why a number is not there: of the first run that lacks it.
  std::string problem(const Trial& trial) const;

 private:
  std::vector<PlannedRun> runs_;
  std::vector<RunOutcome> outcomes_;
};

}  // namespace farsight
