// What a training step says about itself, gathered on the device so that the host need not wait:
//
//   tally[0] (+)= loss      tally[1] (+)= number of i with predictions[i] == targets[i]
//
//   loss: [1] f32 (f64)    predictions, targets: [R] i32, a negative target counts for nothing
//   tally: [2] f64; `=` when add is false: the first micro-batch of a step
// Not differentiable.
#pragma once

#include "ops/kernel.h"

namespace farsight {

void tally_predictions(const Tensor& loss, const Tensor& predictions, const Tensor& targets,
                       const Tensor& tally, bool add);

struct TallyArgs {
  const void* loss = nullptr;
  const std::int32_t *predictions = nullptr, *targets = nullptr;
  double* tally = nullptr;
  std::int64_t R = 0;
  bool add = false;
  DType type = DType::f32;  // of the loss
};

}  // namespace farsight

FARSIGHT_KERNEL(tally_predictions, TallyArgs)
