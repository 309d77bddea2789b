// A model on a recall task: one forward pass over every example, argmax at the scored positions.
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
  std::int64_t micro_tokens = 16384;  ///< at most, in one forward pass; one row always fits
};

/// Scores do not depend on micro_tokens. Throws Error(data) if the task has ids that the model has
/// not.
RecallResult evaluate_recall(const Model& model, const MqarTask& task,
                             const RecallOptions& options);

/// A batch's index vectors as tensors where the model wants them.
Tensor index_tensor(const std::vector<std::int32_t>& values, const Shape& shape, Device device);

}  // namespace farsight
