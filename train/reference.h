// The paper's accuracies on the position tasks, to print beside a run's own.
//
// Source: arXiv 2410.15678, Table 1 (Mamba-130M, three training sets) and Table 3 (other
// models: only the columns Shuffle, Std-Last and Std-Shuffle exist). Pair accuracy, macro
// average over 26 cells, percent. In Table 3, Std- marks models trained on standard, and Shuffle is
// training and test on shuffle.
#pragma once

#include <array>
#include <optional>
#include <string_view>

namespace farsight {

struct PaperAccuracy {
  std::string_view model, trained_on, tested_on;
  double percent;
};

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
    // Table 3
    {"mamba-2x", "shuffle", "shuffle", 88.57},
    {"mamba-2x", "standard", "last", 40.22},
    {"mamba-2x", "standard", "shuffle", 31.88},
    {"mamba-4x", "shuffle", "shuffle", 96.92},
    {"mamba-4x", "standard", "last", 35.89},
    {"mamba-4x", "standard", "shuffle", 32.88},
    {"mamba-gs", "shuffle", "shuffle", 90.45},
    {"mamba-gs", "standard", "last", 41.97},
    {"mamba-gs", "standard", "shuffle", 35.73},
    {"pythia", "shuffle", "shuffle", 99.82},
    {"pythia", "standard", "last", 93.75},
    {"pythia", "standard", "shuffle", 94.31},
});

/// Percent, or nothing where the paper has no such number.
constexpr std::optional<double> paper_accuracy(std::string_view model, std::string_view trained_on,
                                               std::string_view tested_on) {
  for (const PaperAccuracy& entry : kPaperAccuracies) {
    if (entry.model == model && entry.trained_on == trained_on && entry.tested_on == tested_on) {
      return entry.percent;
    }
  }
  return std::nullopt;
}

}  // namespace farsight
