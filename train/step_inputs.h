// What a step reads: the batch's numbers on the device that computes, uploaded, or made there.
#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "data/batches.h"

namespace farsight {

/// A micro-batch on the device. Where numbers of labels change from batch to batch, as a GPU's
/// plans and graphs would not like, rows and targets end in -1: see gather_rows.
struct MicroInputs {
  Tensor tokens;    ///< [rows, length] i32
  Tensor position;  ///< [rows, length] i32, or none: every row is one sequence
  Tensor rows;      ///< [labels] i32, which of the flattened positions are scored
  Tensor targets;   ///< [labels] i32
  Tensor pass;      ///< [2 + rows length] i32: of its random numbers (ops/dropout.h)
};
struct StepInputs {
  std::vector<MicroInputs> micro_batches;
  Tensor share;  ///< [1]: 1 / labels of the global batch, the gradient of the summed loss
};

/// Sizes of a micro-batch's inputs: batches that agree in them can take each other's place.
struct MicroShape {
  std::int64_t rows = 0, length = 0, labels = 0;
  bool packed = false;
  auto operator<=>(const MicroShape&) const = default;
};
using StepShape = std::vector<MicroShape>;
StepShape shape_of(const GlobalBatch& batch, Device device);

/// Labels of this rank's share, as they are.
std::int64_t labels_of(const GlobalBatch& batch);

/// `wide`: type of the loss's sum. On the meta device nothing but room.
StepInputs inputs_of(const GlobalBatch& batch, DType wide, Device device);

/// Another batch of the same shape into the tensors of `to`, whose addresses a graph knows.
void refill(const StepInputs& to, const GlobalBatch& batch);

}  // namespace farsight
