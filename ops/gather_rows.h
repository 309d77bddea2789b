// y[i, :] = x[rows[i], :]
//
//   x: [..., D], its leading dimensions flattened    y: [R, D]
//   rows: [R] i32, strictly increasing; -1 may follow any number of times: padding up to a number of
//         rows that does not change from batch to batch. Its rows of y are zero.
// Gradient: dx[rows[i], :] += dy[i, :], zero elsewhere.
// What a recall task needs: few positions carry a label, and only they need logits.
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor gather_rows(const Tensor& x, const Tensor& rows);

struct GatherRowsArgs {
  const void *x = nullptr, *dy = nullptr;
  const std::int32_t* rows = nullptr;
  void *y = nullptr, *dx = nullptr;
  bool dx_add = false;
  std::int64_t R = 0, D = 0, x_rows = 0, x_stride = 0, dx_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(gather_rows_forward, GatherRowsArgs)
FARSIGHT_KERNEL(gather_rows_backward, GatherRowsArgs)
