// The optimiser's two kernels, over flat buffers of a whole model. Not differentiable.
//
// gradient_norm:  norm = sqrt(sum g^2), summed in f64 over fixed blocks; not finite if any g is not.
// adamw_step (Loshchilov and Hutter, 2019; training.md 1), t the number of steps from 1:
//   g' = g * factor                     clip by norm: factor = min(1, limit / norm), else 1
//   g' = clamp(g', -limit, limit)       clip by value
//   m = beta1 m + (1 - beta1) g'        v = beta2 v + (1 - beta2) g'^2
//   p -= lr sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)
//   p -= lr weight_decay p              decoupled, after the step; where `decays` says so
// and the bf16 copy of p is made in the same pass, where `operand_groups` names one.
// Everything is f32 (f64 for models computed in f64).
#pragma once

#include "ops/kernel.h"

namespace farsight {

struct GradientNormArgs {
  static constexpr int kShares = 1024;

  const void* g = nullptr;
  double* norm = nullptr;    // on the device, as all the rest
  double* shares = nullptr;  // [kShares]: workspace of the CUDA kernel
  std::int64_t count = 0;
  DType type = DType::f32;
};

struct AdamWArgs {
  /// Elements that share one entry of `decays`: parameters begin at multiples of it.
  static constexpr std::int64_t kDecayGroup = 16;

  void *p = nullptr, *m = nullptr, *v = nullptr;
  const void* g = nullptr;
  const std::int32_t* decays = nullptr;  // [count / 16], 0 or 1; null: every element decays
  void* operands = nullptr;              // bf16 copies; null: there are none
  // [count / 16]: which group of 16 operands is the copy; negative: there is none
  const std::int32_t* operand_groups = nullptr;
  std::int64_t count = 0;
  std::int64_t t = 1;
  double lr = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-6, weight_decay = 0;
  double factor = 1;       // of the gradient
  double value_limit = 0;  // 0: not clipped by value
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(gradient_norm, GradientNormArgs)
FARSIGHT_KERNEL(adamw_step, AdamWArgs)
