// One training step: forward and backward of a global batch, in micro-batches of one length each.
#pragma once

#include <cstdint>
#include <string>

#include "data/batches.h"
#include "models/model.h"

namespace farsight {

struct StepResult {
  double loss = 0;          ///< mean over the labels of the global batch
  std::int64_t labels = 0;  ///< of this rank's share
  std::int64_t right = 0;   ///< of them, predicted by the argmax
  double accuracy() const;  ///< percent
};

/// Fills the model's gradients with those of the batch's mean loss. On the meta device it only
/// allocates.
StepResult forward_backward(const Model& model, const GlobalBatch& batch);

/// Runs the same step again, looking at every value as it is made, and says where the first one
/// that is not finite appears: "layer 3, selective_scan". Empty: none does.
std::string first_not_finite(const Model& model, const GlobalBatch& batch);

}  // namespace farsight
