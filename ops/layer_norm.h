// Layer normalisation (Ba, Kiros and Hinton, 2016), alone or fused with residual sums, with one or
// two affine outputs:
//
//   s = residual + x0 + x1           (each x optional)
//   n = (s - mean(s)) / sqrt(mean((s - mean(s))^2) + eps)        y_i = w_i n + b_i
//
//   residual, s: [..., D] f32 (f64 for f64): the residual stream    x, y: [..., D] activations
//   w, b: [D] f32 (f64)
// Two outputs are for the parallel block of GPT-NeoX, whose attention and MLP read differently
// scaled copies of one normalised stream: mean and variance are computed once.
// Gradient, with r = 1/sqrt(var + eps), g = sum of dy_i w_i:
//   ds = dsum + r (g - mean(g) - n mean(g n)),   dresidual = dx = ds,
//   dw_i += sum over rows of dy_i n,   db_i += sum over rows of dy_i.
#pragma once

#include <array>

#include "ops/kernel.h"

namespace farsight {

struct Affine {
  const Tensor& w;
  const Tensor& b;
};

/// y of type `y_type`.
Tensor layer_norm(const Tensor& residual, const Affine& affine, double eps, DType y_type);

/// Both outputs of one normalisation.
std::array<Tensor, 2> layer_norm_pair(const Tensor& residual, const Affine& first,
                                      const Affine& second, double eps, DType y_type);

/// What is added to the residual stream: one term, or two of one shape and type.
struct Addends {
  const Tensor& first;
  const Tensor* second = nullptr;
};

/// y of the type of the addends; *sum becomes s.
Tensor add_layer_norm(const Tensor& residual, const Addends& x, const Affine& affine, double eps,
                      Tensor* sum);
std::array<Tensor, 2> add_layer_norm_pair(const Tensor& residual, const Addends& x,
                                          const Affine& first, const Affine& second, double eps,
                                          Tensor* sum);

struct LayerNormArgs {
  const void *residual = nullptr, *x[2] = {};  // x: null when there is none
  const void *w[2] = {}, *b[2] = {};           // the second: null with one output
  void *sum = nullptr, *y[2] = {};
  void *mean = nullptr, *scale = nullptr;   // mean(s) and r, one a row
  const void *dy[2] = {}, *dsum = nullptr;  // null when it was not used
  void *dresidual = nullptr, *dx[2] = {};   // a null gradient is not wanted
  void *dw[2] = {}, *db[2] = {};
  bool dresidual_add = false, dx_add[2] = {}, dw_add[2] = {}, db_add[2] = {};
  void* partial = nullptr;  // [blocks, 2 * outputs, D]: each block's share of dw_i, then of db_i
  std::int64_t rows = 0, D = 0, blocks = 0;
  int outputs = 1;
  double eps = 1e-5;
  DType type = DType::f32;  // of x and y
};

}  // namespace farsight

FARSIGHT_KERNEL(layer_norm_forward, LayerNormArgs)
FARSIGHT_KERNEL(layer_norm_backward, LayerNormArgs)
