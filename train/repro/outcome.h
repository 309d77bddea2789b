// What the runs of a reproduction left on the disk, and what it amounts to.
//
//   OUT/runs/NAME/       the run's own folder (train/run_record.h)
//   OUT/tests/NAME.json  tests that the run does not make itself: what `eval --json` printed
//   OUT/logs/NAME.log    stderr of its processes; NAME.failure the reason why it was given up
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "train/repro/plan.h"

namespace farsight {

struct RunPaths {
  std::filesystem::path folder, tests, log, failure;
};
RunPaths paths_of(const std::filesystem::path& out, const PlannedRun& run);

/// Scores on one task, percent.
struct TestScore {
  double pair = 0;  ///< of a language task what language_score says
  double token = 0;
  std::optional<double> ceiling{};                ///< attainable pair accuracy
  std::vector<double> sections{};                 ///< see Outcomes::section_shares (outcomes.h)
  std::map<std::pair<int, int>, double> cells{};  ///< (length, pairs): pair accuracy
};

struct RunOutcome {
  bool trained = false;
  std::string problem{};  ///< why it is not trained or tested, a phrase; empty when all is there
  std::map<std::string, TestScore> scores{};  ///< by task
  /// Of the tested checkpoint: pair accuracy, percent; of text 100 - loss, so that larger is better.
  std::optional<double> validation{};
  std::int64_t steps = 0, tokens = 0, parameters = 0, tested_step = 0;
  double seconds = 0, tokens_per_second = 0;
  std::string stopped_by{}, device{}, parameter_hash{};
};

/// Tests that `run` needs and that its result.json does not have; before it is trained, those that
/// the training command will not make.
std::vector<std::string> further_tests(const PlannedRun& run, const RunPaths& paths);

/// Whether the folder holds this run, finished: same settings, and a result that can be read.
bool is_trained(const PlannedRun& run, const RunPaths& paths);
/// Whether the further tests are there as well, of the parameters that the training ended with.
bool is_tested(const PlannedRun& run, const RunPaths& paths);
/// The run is this one, and its result.json cannot be read: its checkpoint can tell the same again.
bool result_is_damaged(const PlannedRun& run, const RunPaths& paths);

/// A line of a run's metrics.jsonl that has a validation.
struct Validation {
  std::int64_t step = 0;
  double accuracy = 0;  ///< pairs, percent; of text 100 - loss
};
/// Lines that cannot be read are left out.
std::vector<Validation> validations_of(const std::filesystem::path& folder);

/// Never throws for what a run left: a file that cannot be read is a problem of its run.
RunOutcome read_outcome(const PlannedRun& run, const RunPaths& paths);

/// The name of a setting in which a run of this name that is on the disk differs, with both values;
/// empty when it is this run, or none.
std::string other_settings(const PlannedRun& run, const RunPaths& paths);

}  // namespace farsight
