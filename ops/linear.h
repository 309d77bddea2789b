// y = x w^T + bias
//
//   x: [..., K], rows may be strided    w: [N, K], of the type of x    bias: [N] f32, or null
//   y: [..., N], of the type of x
// Sums are kept in f32 (f64 for f64) and rounded once, after the bias; on CUDA in bf16 the bias itself is
// rounded to bf16 before, as under autocast. Gradients: dx = dy w; dw += dy^T x and dbias += sum of dy in
// the accumulator type. Source: the weights are (out, in), as in every checkpoint.
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor linear(const Tensor& x, const Tensor& w, const Tensor* bias = nullptr);

struct LinearArgs {
  const void *x = nullptr, *w = nullptr, *bias = nullptr, *dy = nullptr;
  void *y = nullptr, *dx = nullptr, *dw = nullptr,
       *dbias = nullptr;         // a null gradient is not wanted
  void* rounded_bias = nullptr;  // [N] bf16: CUDA adds it in the product's own output, for bf16
  float* partial = nullptr;      // [shares, N]: CUDA's shares of dbias
  std::int64_t shares = 0;
  bool dx_add = false, dw_add = false, dbias_add = false;
  std::int64_t rows = 0, K = 0, N = 0;
  std::int64_t x_stride = 0, dy_stride = 0, dx_stride = 0;  // elements between rows
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(linear_forward, LinearArgs)
FARSIGHT_KERNEL(linear_backward, LinearArgs)
