// Root-mean-square normalisation (Zhang and Sennrich, 2019), alone or fused with the residual sum:
//
//   s = residual + x            (s = residual when there is no x)
//   y = w * s / sqrt(mean(s^2) + eps)
//
//   residual, s: [..., D] f32 (f64 for f64): the residual stream    x, y: [..., D] activations
//   w: [D] f32 (f64)
// Gradient, with r = 1/sqrt(mean(s^2) + eps), n = s r, g = dy w:
//   ds = dsum + r (g - n mean(g n)),   dresidual = dx = ds,   dw += sum over rows of dy n.
#pragma once

#include "ops/kernel.h"

namespace farsight {

/// y of type `y_type`.
Tensor rms_norm(const Tensor& residual, const Tensor& w, double eps, DType y_type);

/// y of the type of x; *sum becomes s.
Tensor add_rms_norm(const Tensor& residual, const Tensor& x, const Tensor& w, double eps,
                    Tensor* sum);

struct RmsNormArgs {
  const void *residual = nullptr, *x = nullptr, *w = nullptr;  // x: null when there is none
  void *sum = nullptr, *y = nullptr, *scale = nullptr;         // scale: r, one a row
  const void *dy = nullptr, *dsum = nullptr;                   // dsum: null when s was not used
  void *dresidual = nullptr, *dx = nullptr, *dw = nullptr;     // a null gradient is not wanted
  bool dresidual_add = false, dx_add = false, dw_add = false;
  void* partial = nullptr;  // [blocks, D]: each block's share of dw
  std::int64_t rows = 0, D = 0, blocks = 0;
  double eps = 1e-5;
  DType type = DType::f32;  // of x and y
};

}  // namespace farsight

FARSIGHT_KERNEL(rms_norm_forward, RmsNormArgs)
FARSIGHT_KERNEL(rms_norm_backward, RmsNormArgs)
