// A model on language tasks: what lm-evaluation-harness 0.4 computes of them (api/task.py
// process_results, api/metrics.py).
//
//   acc       argmax of the log-likelihoods, the first of equals
//   acc_norm  argmax of log-likelihood / characters of the choice
//   mean over items; standard error sqrt(sample variance / n)
//   lambada: acc = every token is the greedy one; perplexity = exp(-mean log-likelihood of an item)
//   wikitext: word_perplexity = exp(-sum LL / sum words), byte_perplexity the same with bytes,
//             bits_per_byte = -sum LL / (sum bytes ln 2); words and bytes of the original pages
// The harness draws the error of lambada's perplexity by bootstrap; here it is perplexity * sd /
// sqrt(n), what the bootstrap estimates.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/language/encoding.h"
#include "eval/language/language_task.h"
#include "eval/language/scorer.h"

namespace farsight {

struct LanguageMetric {
  std::string name;  ///< "acc"
  double value = 0;
  std::optional<double> error{};  ///< standard error; nothing where the harness says N/A
  bool higher_is_better = true;
};

struct LanguageDocResult {
  std::vector<ContinuationScore> scores{};  ///< of the pairs; of a page, the sum of its windows
  std::vector<LanguageMetric> metrics{};    ///< of this item
};

struct LanguageResult {
  LanguageTask task{};
  std::vector<LanguageDocResult> docs{};
  std::vector<LanguageMetric> metrics{};  ///< by name
  std::int64_t tokens = 0;                ///< scored, without contexts
};

struct LanguageOptions {
  std::int32_t prefix = 0;  ///< the token an empty context stands for: end of text
  ScorerOptions scorer;
};

/// Results in the order of the tasks; all of them are scored together. Throws what score_continuations
/// does, naming the task and item of a request that cannot be scored.
std::vector<LanguageResult> evaluate_language(const Model& model, const Encode& encode,
                                              std::vector<LanguageTask> tasks,
                                              const LanguageOptions& options);

/// What an item's scores mean: the harness's process_results.
std::vector<LanguageMetric> doc_metrics(const LanguageTask& task, const LanguageDoc& doc,
                                        const std::vector<ContinuationScore>& scores);
/// ... and all items': its aggregation.
std::vector<LanguageMetric> task_metrics(const LanguageTask& task,
                                         const std::vector<LanguageDocResult>& docs);

}  // namespace farsight
