// The token shift of RWKV-4 (Peng et al., 2023, equations 11-13 and 19-20): every channel of a
// token mixed with that of the token before, once for each matrix that reads it.
//
//   y_i[b,t,d] = mix_i[d] x[b,t,d] + (1 - mix_i[d]) x[b,t-1,d]          i < number of mixes, at most 3
//
//   x: [B, T, D] activations, rows may be strided    y_i: [B, T, D]
//   mix_i: [D] or [1, 1, D] f32 (f64)
//   before: [B, D], of the type of x: the token before t = 0; zeros when absent. *last becomes
//     x[:, T-1]. For inference: no gradient goes through them.
//   position: [B, T] i32, the index of a token in its own sequence: before every position 0 stand
//     zeros, so rows can be packed. Absent: a row is one sequence.
// Gradients: dx[t] = sum_i mix_i dy_i[t] + (1 - mix_i) dy_i[t+1],
//   dmix_i = sum over b, t of dy_i[t] (x[t] - x[t-1]).
#pragma once

#include <vector>

#include "ops/kernel.h"

namespace farsight {

inline constexpr int kMostMixes = 3;

struct TokenShiftOptions {
  const Tensor* before = nullptr;
  const Tensor* position = nullptr;
  Tensor* last = nullptr;
};

std::vector<Tensor> token_shift(const Tensor& x, const std::vector<Tensor>& mixes,
                                const TokenShiftOptions& options = {});

struct TokenShiftArgs {
  const void *x = nullptr, *before = nullptr;
  const void *mix[kMostMixes] = {}, *dy[kMostMixes] = {};  // a null dy was not used
  const std::int32_t* position = nullptr;
  void *y[kMostMixes] = {}, *last = nullptr;
  void *dx = nullptr, *dmix[kMostMixes] = {};  // a null gradient is not wanted
  bool dx_add = false, dmix_add[kMostMixes] = {};
  void* partial = nullptr;  // [shares, mixes, D]: dmix_i of a share of the rows
  std::int64_t B = 0, T = 0, D = 0, shares = 0;
  std::int64_t x_stride = 0, dx_stride = 0;
  int mixes = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(token_shift_forward, TokenShiftArgs)
FARSIGHT_KERNEL(token_shift_backward, TokenShiftArgs)
