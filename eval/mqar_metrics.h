// The scores of a model on an MQAR task, from its argmax at the scored positions (one forward pass,
// no feedback).
//
//   token accuracy   right value tokens / value tokens
//   pair accuracy    pairs whose value tokens are all right / pairs: the number of the paper's tables
//   case accuracy    examples whose pairs are all right / examples: the wording of the paper's text
//
// A task's score is the unweighted mean over its cells, so a cell of 1 pair counts as much as one
// of 128; micro pair accuracy weighs every pair alike. All accuracies are percentages, 0 to 100.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/batches.h"

namespace farsight {

struct Tally {
  std::int64_t right = 0;
  std::int64_t total = 0;
  void add(bool is_right) {
    right += is_right ? 1 : 0;
    total++;
  }
  /// 100 right / total; 0 of an empty tally.
  double percent() const;
  friend bool operator==(const Tally&, const Tally&) = default;
};

struct CellScore {
  Cell cell;
  Tally tokens, pairs, cases;
};

struct MqarScore {
  std::vector<CellScore> cells;    ///< in the order of the task
  double pair_accuracy = 0;        ///< macro, over the cells that were evaluated
  double token_accuracy = 0;       ///< macro
  double case_accuracy = 0;        ///< macro
  double micro_pair_accuracy = 0;  ///< over all pairs of all cells
};

class MqarMetrics {
 public:
  explicit MqarMetrics(const std::vector<Cell>& cells);
  /// `predictions`: [labels] of the batch, the argmax at each of its label_rows. The labels of one
  /// pair are adjacent, and so are those of a row. Labels of no pair (kNoPair) do not count.
  void add(const Batch& batch, std::span<const std::int32_t> predictions);
  MqarScore score() const;

 private:
  std::vector<CellScore> cells_;
};

/// "pair 99.12 %, token 99.12 %, case 87.50 %, micro pair 98.03 %"
std::string summary(const MqarScore& score);

}  // namespace farsight
