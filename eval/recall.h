// A model on a recall task: one forward pass over every example, argmax at the scored positions.
//
// Rows longer than RecallOptions::micro_tokens go through in pieces, several rows side by side, where
// the family carries what it saw from piece to piece (Model::stream): the memory needed does not
// grow with the length then. Other families take such a row in one piece.
#pragma once

#include <cstdint>

#include "data/batches.h"
#include "eval/mqar_metrics.h"
#include "models/model.h"

namespace farsight {

struct RecallResult {
  MqarScore score;
  double loss = 0;          ///< mean cross-entropy over all labels of all cells
  std::int64_t tokens = 0;  ///< fed
};

struct RecallOptions {
  Split split = Split::test;
  std::int64_t examples_per_cell = 100;
  /// At most, in one forward pass; where a row cannot be cut, one row always fits.
  std::int64_t micro_tokens = 16384;
};

/// Scores do not depend on micro_tokens, but for the rounding of states where rows are cut. Throws
/// Error(data) if the task has ids that the model has not, or examples longer than it can read.
RecallResult evaluate_recall(const Model& model, const MqarTask& task,
                             const RecallOptions& options);

/// A batch's index vectors as tensors where the model wants them.
Tensor index_tensor(const std::vector<std::int32_t>& values, const Shape& shape, Device device);

}  // namespace farsight
