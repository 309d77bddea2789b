// Rotary positions on neighbouring pairs of dims (Su et al., 2021), over the whole width:
//
//   y[2i] = x[2i] cos a - x[2i+1] sin a     y[2i+1] = x[2i+1] cos a + x[2i] sin a
//   a = p_t base^(-2i/D),  p_t the position of token t in its sequence
//   x, y: [B, T, D], D even, rows of x may be strided
// Attention of GPT-NeoX pairs dims half a head apart instead and turns a part (ops/attention.h).
// Gradient: dx is dy turned back.
#pragma once

#include "ops/kernel.h"

namespace farsight {

struct RotateOptions {
  double base = 10000;
  const Tensor* position = nullptr;  ///< [B, T] i32, for packed rows
  std::int64_t first = 0;            ///< without it: the position of each row's first token
};

Tensor rotate_pairs(const Tensor& x, const RotateOptions& options = {});

struct RotateArgs {
  const void* x = nullptr;
  void* y = nullptr;
  bool y_add = false, back = false;
  const std::int32_t* position = nullptr;
  void* turns = nullptr;  // [T, D / 2, 2] f32 (f64): cosine and sine at position first + row
  std::int64_t B = 0, T = 0, D = 0, first = 0;
  std::int64_t x_stride = 0, y_stride = 0;
  double base = 10000;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(rotate_table, RotateArgs)
FARSIGHT_KERNEL(rotate_pairs, RotateArgs)
