// The activation of an implicit filter's network (Sitzmann et al., 2020; Poli et al., 2023):
//
//   y = sin(frequency[d] x)
//
//   x, y: [..., D], rows of x may be strided    frequency: [D] f32 (f64)
// Gradients: dx = frequency cos(frequency x) dy;  dfrequency += sum over rows of x cos(frequency x) dy.
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor sine(const Tensor& x, const Tensor& frequency);

inline constexpr std::int64_t kSineChunk = 64;  // rows whose share of dfrequency a CUDA block sums

struct SineArgs {
  const void *x = nullptr, *frequency = nullptr, *dy = nullptr;
  void *y = nullptr, *dx = nullptr, *dfrequency = nullptr;  // a null gradient is not wanted
  bool dx_add = false, dfrequency_add = false;
  float* partial = nullptr;  // CUDA: [chunks of rows, D]
  std::int64_t rows = 0, D = 0;
  std::int64_t x_stride = 0, dx_stride = 0, dy_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(sine_forward, SineArgs)
FARSIGHT_KERNEL(sine_backward, SineArgs)
