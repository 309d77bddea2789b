// Results of language tasks in lm-evaluation-harness's own layout: what `--output_path` and
// `--log_samples` write, and the table on the terminal.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/language/language_evaluation.h"

namespace farsight {

/// Of the whole evaluation; the members are "config"'s and those beside it.
struct EvaluationContext {
  std::string model{};       ///< "mamba"
  std::string model_args{};  ///< "pretrained=runs/a/step-00001000,dtype=bfloat16"
  std::string device{};
  std::string tokenizer{};  ///< its file, and its fingerprint
  std::string fingerprint{};
  std::string parameter_hash{};  ///< of the model that was scored
  std::int64_t parameters = 0, max_length = 0, pass_tokens = 0, limit = 0;
  std::string version{};  ///< of this program
  double seconds = 0;
};

/// {"results": {task: {"alias", "acc,none", "acc_stderr,none", ...}}, "group_subtasks", "configs",
/// "versions", "n-shot", "higher_is_better", "n-samples", "config", ...}
Json results_json(const std::vector<LanguageResult>& results, const EvaluationContext& context);

/// A line of samples_TASK.jsonl: doc_id, doc, target, arguments, resps, filtered_resps (numbers as
/// strings, as the harness writes them), the metrics of the item, hashes of prompt and target.
std::string sample_line(const LanguageResult& result, std::size_t item);

/// |Tasks|Version|Filter|n-shot|Metric|   |Value|   |Stderr|, tasks by name; notes below.
std::string results_table(const std::vector<LanguageResult>& results);

/// results.json and samples_TASK.jsonl in `folder`, which is made.
void write_results(const std::filesystem::path& folder, const std::vector<LanguageResult>& results,
                   const EvaluationContext& context);

}  // namespace farsight
