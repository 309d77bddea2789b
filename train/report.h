// What came out of a run, for people (the last lines on the screen; run_report.h makes its page) and
// for programs (result.json).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "eval/breakdown.h"
#include "eval/shortcuts.h"
#include "train/settings.h"

namespace farsight {

/// A model's scores on one task, all in percent (0 to 100). Definitions: eval/mqar_metrics.h.
struct TaskAccuracy {
  std::string task;
  double pair = 0;        ///< macro average over the cells: the number of the paper's tables
  double token = 0;       ///< macro average
  double case_ = 0;       ///< macro average; examples with every pair right
  double micro_pair = 0;  ///< over all pairs of all cells
  std::vector<std::pair<std::string, double>> cells{};  ///< "64x4" (length x pairs): pair accuracy
  Ceiling ceiling{};                                    ///< macro average; data/oracle.h
  std::vector<std::pair<std::string, double>> cell_ceilings{};  ///< of pair accuracy
  Breakdown breakdown{};
  std::optional<SectionShares> sections{};
  std::optional<ShortcutIndices> shortcuts{};  ///< with the task that the run was trained on
};

struct RunResult {
  std::string device;  ///< what it ran on: "cpu (2 threads)", "NVIDIA H100"
  std::int64_t parameters = 0;
  std::int64_t steps = 0;
  std::int64_t tokens = 0;             ///< trained on, over all steps
  double seconds = 0;                  ///< of training, without the tests at the end
  double tokens_per_second = 0;        ///< tokens / seconds
  double loss = 0;                     ///< of the last step
  std::string stopped_by = "steps";    ///< what ended it: steps, accuracy, plateau (stopping.h)
  std::int64_t tested_step = 0;        ///< which checkpoint was tested
  std::int64_t peak_memory_bytes = 0;  ///< of the arena
  std::string parameter_hash{};        ///< of the tested checkpoint: equal runs have equal ones
  std::vector<TaskAccuracy> accuracy{};
  Json text{};  ///< of a language model, in its place (train/text_result.h); else null
};

/// The contents of result.json: task, model, preset, recipe, device, parameters, steps, tokens,
/// seconds, tokens_per_second, seed, accuracy {task: {pair, token, case, micro_pair, cells}}, ...
Json result_json(const Settings& settings, const RunResult& result);

/// The member `accuracy` of result.json. What eval prints names the parameters beside each task: the
/// parameter_hash of the run's result.json, if it is that model that was tested.
Json accuracy_json(const std::vector<TaskAccuracy>& accuracy, std::string_view parameter_hash = "");
/// Token, case and micro pair accuracy of each task beside its pair accuracy and ceilings, a
/// Markdown table; then, where they were measured, the shares of sections and the shortcut indices.
std::string metrics_table(const std::vector<TaskAccuracy>& accuracy);
/// Pair accuracy by cell, a Markdown table with one column a task, and one of ceilings behind it
/// where some are below 100.
std::string cell_table(const std::vector<TaskAccuracy>& accuracy);

/// This run beside the paper's row for the same model and training set, with a line that says what
/// may be compared. Plain text, columns aligned:
///
///   trained on standard     standard     last  shuffle
///   this run (pocket)          99.80    31.20    40.02
///   ceiling                   100.00   100.00    99.87
///   paper, Mamba 130M          99.72    15.44    22.37
std::string accuracy_table(const Settings& settings, const std::vector<TaskAccuracy>& accuracy);

}  // namespace farsight
