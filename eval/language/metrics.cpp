#include <algorithm>
#include <cmath>
#include <numbers>

#include "eval/language/language_evaluation.h"

namespace farsight {
namespace {

/// Index of the largest, the first of equals.
std::int64_t argmax(const std::vector<double>& values) {
  return std::max_element(values.begin(), values.end()) - values.begin();
}

struct Mean {
  double value = 0, error = 0;
};

Mean mean_of(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double value : values) {
    sum += value;
  }
  const double mean = sum / n;
  for (const double value : values) {
    squares += (value - mean) * (value - mean);
  }
  return {mean, values.size() < 2 ? std::nan("") : std::sqrt(squares / (n - 1) / n)};
}

std::optional<double> finite(double error) {
  return std::isfinite(error) ? std::optional(error) : std::nullopt;
}

std::vector<LanguageMetric> rolling_metrics(const LanguageTask& task,
                                            const std::vector<LanguageDocResult>& docs) {
  double sum = 0, words = 0, bytes = 0;
  for (std::size_t i = 0; i < docs.size(); i++) {
    sum += docs[i].scores[0].log_likelihood;
    words += static_cast<double>(task.docs[i].words);
    bytes += static_cast<double>(task.docs[i].bytes);
  }
  return {{"bits_per_byte", -sum / bytes / std::numbers::ln2, {}, false},
          {"byte_perplexity", std::exp(-sum / bytes), {}, false},
          {"word_perplexity", std::exp(-sum / words), {}, false}};
}

}  // namespace

std::vector<LanguageMetric> doc_metrics(const LanguageTask& task, const LanguageDoc& doc,
                                        const std::vector<ContinuationScore>& scores) {
  if (task.output == OutputType::loglikelihood_rolling) return {};
  if (task.output == OutputType::loglikelihood) {
    return {{"acc", scores[0].greedy ? 1.0 : 0.0, {}},
            {"perplexity", scores[0].log_likelihood, {}, false}};
  }
  std::vector<double> sums, normalised;
  for (std::size_t i = 0; i < scores.size(); i++) {
    sums.push_back(scores[i].log_likelihood);
    if (!task.normalised) continue;
    normalised.push_back(scores[i].log_likelihood / static_cast<double>(doc.lengths[i]));
  }
  const auto right = [&](const std::vector<double>& of) {
    return argmax(of) == doc.gold ? 1.0 : 0.0;
  };
  std::vector<LanguageMetric> metrics = {{"acc", right(sums), {}}};
  if (task.normalised) metrics.push_back({"acc_norm", right(normalised), {}});
  return metrics;
}

std::vector<LanguageMetric> task_metrics(const LanguageTask& task,
                                         const std::vector<LanguageDocResult>& docs) {
  if (task.output == OutputType::loglikelihood_rolling) return rolling_metrics(task, docs);
  std::vector<LanguageMetric> metrics = docs.front().metrics;
  for (std::size_t m = 0; m < metrics.size(); m++) {
    std::vector<double> values;
    for (const LanguageDocResult& doc : docs) {
      values.push_back(doc.metrics[m].value);
    }
    const auto [mean, error] = mean_of(values);
    LanguageMetric& metric = metrics[m];
    const bool perplexity = metric.name == "perplexity";
    metric.value = perplexity ? std::exp(-mean) : mean;
    metric.error = finite(perplexity ? metric.value * error : error);
  }
  return metrics;
}

}  // namespace farsight
