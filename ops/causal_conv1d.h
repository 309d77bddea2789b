// Depthwise causal convolution of any length, with an optional SiLU: the short convolution of Mamba
// (K = 4) and the long one of its global selection gate (K = 128, 512).
//
//   m[b,t,d] = bias[d] + sum_{j<K} w[d,j] x[b, t-(K-1)+j, d]        y = silu ? m sigmoid(m) : m
//
//   x, y: [B, T, D] (rows of x may be strided)   w: [D, K] or [D, 1, K] f32   bias: [D] f32
//   history: [B, K-1, D], of the type of x: what stood before t = 0; zeros when absent. With it,
//     a sequence fed in chunks gives what it gives whole, gradients included.
//   position: [B, T] i32, the index of a token in its own sequence, for packed rows: taps do not
//     reach behind the last position 0. Absent: a row is one sequence.
// Gradients, c = dy silu'(m): dx[s] = sum_j w[j] c[s+(K-1)-j],
//   dw[j] += sum_{b,t} c[t] x[t-(K-1)+j],  dbias += sum c.
#pragma once

#include "ops/kernel.h"

namespace farsight {

struct Conv1dOptions {
  bool silu = true;
  const Tensor* history = nullptr;
  const Tensor* position = nullptr;
};

Tensor causal_conv1d(const Tensor& x, const Tensor& w, const Tensor& bias,
                     const Conv1dOptions& options = {});

/// Taps that the CUDA kernels multiply on tensor cores, in bf16; they compute m again.
inline constexpr std::int64_t kConv1dMatrixTaps = 512;
inline constexpr std::int64_t kConv1dTile = 128;  // steps: they pack rows shorter than that

struct Conv1dArgs {
  const void *x = nullptr, *w = nullptr, *bias = nullptr, *history = nullptr, *dy = nullptr;
  const std::int32_t* position = nullptr;
  void *y = nullptr, *pre = nullptr;  // pre: m, kept for the backward when K is long
  void *dx = nullptr, *dw = nullptr, *dbias = nullptr, *dhistory = nullptr;  // null: not wanted
  bool dx_add = false, dw_add = false, dbias_add = false, dhistory_add = false, silu = false;
  void* partial = nullptr;  // [shares, K + 1, D]: shares of dw and dbias, summed in order
  // CUDA, packed rows (and short ones) on tensor cores: [B, T + 1, 2], made by the kernels.
  std::int32_t* plan = nullptr;
  std::int64_t B = 0, T = 0, D = 0, K = 0, shares = 0;
  std::int64_t x_stride = 0, dx_stride = 0;  // elements between time steps
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(causal_conv1d_forward, Conv1dArgs)
FARSIGHT_KERNEL(causal_conv1d_backward, Conv1dArgs)
