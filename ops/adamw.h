// The optimiser's two kernels, over flat buffers of a whole model. Not differentiable.
//
// gradient_norm:  norm[0] = sqrt(sum g^2), summed in f64 over fixed blocks; not finite if any g is not.
//   norm[1] becomes 1 then, and stays: adamw_step moves nothing as long as it is not 0, so that whoever
//   looks at the norm a step late finds the parameters that gave it.
// adamw_step (Loshchilov and Hutter, 2019; in the order of transformers.AdamW, which the authors'
// src/train_dev2.py takes), t the number of steps from 1:
//   g' = g * min(1, norm_limit / norm)  clip by norm
//   g' = clamp(g', -limit, limit)       clip by value
//   m = beta1 m + (1 - beta1) g'        v = beta2 v + (1 - beta2) g'^2
//   p -= schedule[0] m / (sqrt(v) + eps)    schedule[0] = lr sqrt(1 - beta2^t) / (1 - beta1^t)
//   p -= schedule[1] p                      schedule[1] = lr weight_decay: decoupled, after the step;
//                                           where `decays` says so
// With `bf16_storage` every value that training carries on is one that bf16 has: g is rounded first,
// and each operation that PyTorch would run on a bf16 tensor rounds what it gives:
//   m = r(r(beta1 m) + (1 - beta1) g')        v = r(r(beta2 v) + (1 - beta2) g'^2)
//   p = r(p - schedule[0] (m / r(r(sqrt(v)) + eps)))        p = r(p - schedule[1] p)
// so that an update below 2^-9 of a parameter is lost, and with it any usual weight decay.
// The bf16 copy of p is made in the same pass, where `operand_groups` names one. What changes from
// step to step (schedule and norm) lies in the device's memory: a launch has the same arguments every
// time, and the host waits for nothing.
// Everything is f32 (f64 for models computed in f64).
#pragma once

#include "ops/kernel.h"

namespace farsight {

struct GradientNormArgs {
  static constexpr int kShares = 1024;
  /// Where several ranks have a part of the gradient each: `squares` leaves the own part's sum in
  /// `shares`, which are added up over all ranks, and `root` takes it from there.
  enum class Part : std::uint8_t { whole, squares, root };

  const void* g = nullptr;
  double* norm = nullptr;    // [2]; on the device, as all the rest
  double* shares = nullptr;  // [kShares]: workspace; what adds up to the squares
  // Summed over labels, of all ranks: norm[1] becomes 1 where it is not finite, too. Null: not looked at
  const double* loss = nullptr;
  std::int64_t count = 0;
  DType type = DType::f32;
  Part part = Part::whole;
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
  const double* schedule = nullptr;  // [2]
  const double* norm = nullptr;      // [2], of gradient_norm
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-6;
  double norm_limit = 0;   // 0: not clipped by norm
  double value_limit = 0;  // 0: not clipped by value
  bool bf16_storage = false;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(gradient_norm, GradientNormArgs)
FARSIGHT_KERNEL(adamw_step, AdamWArgs)
