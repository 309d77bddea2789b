// The paper's accuracies, to print beside a run's own.
//
// Source: arXiv 2410.15678, Table 1 (Mamba-130M on the position tasks), Table 2 (Mamba-130M on
// n-grams; the order of its columns is inferred) and Table 3 (seven models: Shuffle, K2V2 and
// K4V8-Shuffle were trained and tested on the same task, Std- trained on standard, K2V2-Robustness
// trained on K2V2). Pair accuracy, macro average over the cells of the test, percent. A cross in the
// paper marks a run that failed: it never left the plateau, which a later abstract calls "below 5 %".
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace farsight {

struct PaperAccuracy {
  std::string_view model, trained_on, tested_on;
  std::optional<double> percent;  ///< empty: the paper marks it as failed
};

/// What the paper's cross means, after the abstract of its later version: below this, percent.
inline constexpr double kPaperFailed = 5;

inline constexpr auto kPaperAccuracies = std::to_array<PaperAccuracy>({
    // Table 1
    {"mamba", "standard", "standard", 99.72},
    {"mamba", "standard", "last", 15.44},
    {"mamba", "standard", "shuffle", 22.37},
    {"mamba", "last", "standard", 82.64},
    {"mamba", "last", "last", 99.35},
    {"mamba", "last", "shuffle", 54.08},
    {"mamba", "shuffle", "standard", 90.80},
    {"mamba", "shuffle", "last", 78.09},
    {"mamba", "shuffle", "shuffle", 80.98},
    // Table 2
    {"mamba", "k1v1", "k1v1", 99.95},
    {"mamba", "k1v1", "k1v2", 0.00},
    {"mamba", "k1v1", "k2v2", 0.00},
    {"mamba", "k1v2", "k1v1", 99.81},
    {"mamba", "k1v2", "k1v2", 99.96},
    {"mamba", "k1v2", "k2v2", 99.90},
    {"mamba", "k2v2", "k1v1", 66.82},
    {"mamba", "k2v2", "k1v2", 96.66},
    {"mamba", "k2v2", "k2v2", 99.98},
    // Table 3
    {"pythia", "shuffle", "shuffle", 99.82},
    {"pythia", "standard", "last", 93.75},
    {"pythia", "standard", "shuffle", 94.31},
    {"pythia", "k2v2", "k2v2", 99.99},
    {"pythia", "k2v2", "ngram-robustness", 99.99},
    {"pythia", "k4v8-shuffle", "k4v8-shuffle", 99.99},
    {"hyena", "shuffle", "shuffle", {}},
    {"hyena", "standard", "last", {}},
    {"hyena", "standard", "shuffle", {}},
    {"hyena", "k2v2", "k2v2", 77.62},
    {"hyena", "k2v2", "ngram-robustness", 65.92},
    {"hyena", "k4v8-shuffle", "k4v8-shuffle", 22.51},
    {"rwkv", "shuffle", "shuffle", {}},
    {"rwkv", "standard", "last", {}},
    {"rwkv", "standard", "shuffle", {}},
    {"rwkv", "k2v2", "k2v2", 85.99},
    {"rwkv", "k2v2", "ngram-robustness", 72.62},
    {"rwkv", "k4v8-shuffle", "k4v8-shuffle", 6.57},
    {"mamba", "k2v2", "ngram-robustness", 66.01},
    {"mamba", "k4v8-shuffle", "k4v8-shuffle", {}},
    {"mamba-2x", "shuffle", "shuffle", 88.57},
    {"mamba-2x", "standard", "last", 40.22},
    {"mamba-2x", "standard", "shuffle", 31.88},
    {"mamba-2x", "k2v2", "k2v2", 99.84},
    {"mamba-2x", "k2v2", "ngram-robustness", 78.90},
    {"mamba-2x", "k4v8-shuffle", "k4v8-shuffle", {}},
    {"mamba-4x", "shuffle", "shuffle", 96.92},
    {"mamba-4x", "standard", "last", 35.89},
    {"mamba-4x", "standard", "shuffle", 32.88},
    {"mamba-4x", "k2v2", "k2v2", 99.84},
    {"mamba-4x", "k2v2", "ngram-robustness", 57.11},
    {"mamba-4x", "k4v8-shuffle", "k4v8-shuffle", {}},
    {"mamba-gs", "shuffle", "shuffle", 90.45},
    {"mamba-gs", "standard", "last", 41.97},
    {"mamba-gs", "standard", "shuffle", 35.73},
    {"mamba-gs", "k2v2", "k2v2", 99.06},
    {"mamba-gs", "k2v2", "ngram-robustness", 81.46},
    {"mamba-gs", "k4v8-shuffle", "k4v8-shuffle", 80.54},
    // Table 4, language models: word perplexity of WikiText, accuracies (HellaSwag: acc_norm)
    {"pythia", "lm", "wikitext", 40.94},
    {"pythia", "lm", "piqa", 61.21},
    {"pythia", "lm", "hellaswag", 27.90},
    {"pythia", "lm", "winogrande", 51.14},
    {"mamba", "lm", "wikitext", 40.46},
    {"mamba", "lm", "piqa", 62.13},
    {"mamba", "lm", "hellaswag", 28.70},
    {"mamba", "lm", "winogrande", 52.25},
    {"mamba-gs", "lm", "wikitext", 38.92},
    {"mamba-gs", "lm", "piqa", 62.62},
    {"mamba-gs", "lm", "hellaswag", 28.79},
    {"mamba-gs", "lm", "winogrande", 52.41},
});

/// Null where the paper says nothing of such a run.
constexpr const PaperAccuracy* paper_entry(std::string_view model, std::string_view trained_on,
                                           std::string_view tested_on) {
  for (const PaperAccuracy& entry : kPaperAccuracies) {
    if (entry.model == model && entry.trained_on == trained_on && entry.tested_on == tested_on) {
      return &entry;
    }
  }
  return nullptr;
}

/// Percent, or nothing where the paper has no such number or a cross.
constexpr std::optional<double> paper_accuracy(std::string_view model, std::string_view trained_on,
                                               std::string_view tested_on) {
  const PaperAccuracy* entry = paper_entry(model, trained_on, tested_on);
  return entry == nullptr ? std::nullopt : entry->percent;
}

}  // namespace farsight
