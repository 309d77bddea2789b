// Accuracy by where a pair lies, by how far it is from its query, and by which section of the
// context was answered from.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <vector>

#include "data/oracle.h"
#include "eval/answers.h"
#include "eval/mqar_metrics.h"

namespace farsight {

/// Pairs whose quantity is at least `begin` and less than `end`.
struct Bin {
  double begin = 0, end = 0;
  Tally pairs;
};

struct Breakdown {
  /// By the position of the pair's key in percent of the length, in bins of 5 %.
  std::vector<Bin> by_position;
  /// By the tokens from the pair's key to its query, in bins from one power of two to the next.
  std::vector<Bin> by_distance;
};

/// Pooled over all cells; bins without pairs are left out, and so are queries whose pair the context
/// does not have.
Breakdown breakdown_of(const MqarTask& task, std::span<const PairAnswer> answers);

/// What a perfect reader would have had right of these queries, for each cell of the task; 100 for
/// cells without answers. The answers of an example stand side by side.
std::vector<Ceiling> ceilings_of(const MqarTask& task, std::span<const PairAnswer> answers);

/// Of position robustness (docs/tasks.md; Figure 6a): the share of queries answered with the value
/// of each section of the context, and with none of them, in percent; the mean over cells.
struct SectionShares {
  std::array<double, 4> section{};  ///< 0-25, 25-50, 50-75, 75-100 % of the first half
  double none = 0;
};

/// Nothing of tasks without sections.
std::optional<SectionShares> section_shares(const MqarTask& task,
                                            std::span<const PairAnswer> answers);

}  // namespace farsight
