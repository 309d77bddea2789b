// Learned absolute positions: y[b,t,:] = x[b,t,:] + table[first + t,:]
//
//   x, y: [B, T, D] f32 (f64), dense: the residual stream    table: [L, D] of the type of x
//   first + T <= L: what is longer has no position, which is the caller's to refuse
// Gradients: dx = dy;  dtable[first + t] += sum over b of dy[b,t], other rows += 0.
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor add_positions(const Tensor& x, const Tensor& table, std::int64_t first = 0);

struct PositionsArgs {
  const void *x = nullptr, *table = nullptr, *dy = nullptr;
  void *y = nullptr, *dx = nullptr, *dtable = nullptr;  // a null gradient is not wanted
  bool dx_add = false, dtable_add = false;
  std::int64_t B = 0, T = 0, D = 0, L = 0, first = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(add_positions_forward, PositionsArgs)
FARSIGHT_KERNEL(add_positions_backward, PositionsArgs)
