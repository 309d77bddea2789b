// A model on a recall task: one forward pass over every example, argmax at the scored positions.
//
// Rows longer than RecallOptions::micro_tokens go through in pieces, several rows side by side, where
// the family carries what it saw from piece to piece (Model::stream): the memory needed does not
// grow with the length then. Other families take such a row in one piece.
#pragma once

#include <cstdint>

#include "data/frozen_set.h"
#include "eval/answers.h"
#include "eval/mqar_metrics.h"
#include "models/model.h"

namespace farsight {

struct RecallResult {
  MqarScore score;
  double loss = 0;                    ///< mean cross-entropy over all labels of all cells
  std::int64_t tokens = 0;            ///< fed
  std::vector<PairAnswer> answers{};  ///< of all cells, if they were to be kept
};

struct RecallOptions {
  Split split = Split::test;
  std::int64_t examples_per_cell = 100;
  /// At most, in one forward pass; where a row cannot be cut, one row always fits.
  std::int64_t micro_tokens = 16384;
  bool keep_answers = false;
  /// The examples, in place of generated ones: a set of this task, whose split they are.
  const FrozenSet* set = nullptr;
};

/// Where the context has a pair in several sections, the value of any of them is right.
/// Scores do not depend on micro_tokens, but for the rounding of states where rows are cut. Throws
/// Error(data) if the task has ids that the model has not, or examples longer than it can read.
RecallResult evaluate_recall(const Model& model, const MqarTask& task,
                             const RecallOptions& options);

/// A batch's index vectors as tensors where the model wants them.
Tensor index_tensor(const std::vector<std::int32_t>& values, const Shape& shape, Device device);

}  // namespace farsight
