#include "eval/mqar_metrics.h"

#include <fmt/format.h>

#include "core/check.h"

namespace farsight {

double Tally::percent() const {
  return total == 0 ? 0.0 : 100.0 * static_cast<double>(right) / static_cast<double>(total);
}

MqarMetrics::MqarMetrics(const std::vector<Cell>& cells) {
  for (const Cell& cell : cells) {
    cells_.push_back({.cell = cell, .tokens = {}, .pairs = {}, .cases = {}});
  }
}

void MqarMetrics::add(const Batch& batch, std::span<const std::int32_t> predictions) {
  check(predictions.size() == batch.targets.size(),
        "MqarMetrics: predictions must be [labels={}], got [{}]", batch.targets.size(),
        predictions.size());
  const std::size_t labels = batch.targets.size();
  const auto row_of = [&](std::size_t label) {
    return static_cast<std::size_t>(batch.label_rows[label] / batch.length);
  };
  std::size_t i = 0;
  while (i < labels) {
    const std::size_t row = row_of(i);
    const std::size_t cell = batch.examples[row].cell;
    check(cell < cells_.size(), "MqarMetrics: cell must be below {}, got {}", cells_.size(), cell);
    CellScore& score = cells_[cell];
    bool case_right = true;
    while (i < labels && row_of(i) == row) {
      const std::int32_t pair = batch.pairs[i];
      if (pair == kNoPair) {
        i++;
        continue;
      }
      bool pair_right = true;
      for (; i < labels && row_of(i) == row && batch.pairs[i] == pair; i++) {
        const bool token_right = predictions[i] == batch.targets[i];
        score.tokens.add(token_right);
        pair_right = pair_right && token_right;
      }
      score.pairs.add(pair_right);
      case_right = case_right && pair_right;
    }
    score.cases.add(case_right);
  }
}

MqarScore MqarMetrics::score() const {
  MqarScore score;
  score.cells = cells_;
  Tally all_pairs;
  double evaluated = 0;
  for (const CellScore& cell : cells_) {
    if (cell.cases.total == 0) continue;
    evaluated += 1;
    score.pair_accuracy += cell.pairs.percent();
    score.token_accuracy += cell.tokens.percent();
    score.case_accuracy += cell.cases.percent();
    all_pairs.right += cell.pairs.right;
    all_pairs.total += cell.pairs.total;
  }
  if (evaluated > 0) {
    score.pair_accuracy /= evaluated;
    score.token_accuracy /= evaluated;
    score.case_accuracy /= evaluated;
  }
  score.micro_pair_accuracy = all_pairs.percent();
  return score;
}

std::string summary(const MqarScore& score) {
  return fmt::format("pair {:.2f} %, token {:.2f} %, case {:.2f} %, micro pair {:.2f} %",
                     score.pair_accuracy, score.token_accuracy, score.case_accuracy,
                     score.micro_pair_accuracy);
}

}  // namespace farsight
