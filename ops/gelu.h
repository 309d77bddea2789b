// The Gaussian error linear unit (Hendrycks and Gimpel, 2016), element by element:
//
//   exact: y = x Phi(x),  Phi(x) = erfc(-x / sqrt(2)) / 2
//   tanh:  y = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
//
//   x, y: [..., D], rows of x may be strided
// Gradients: dx = dy (Phi(x) + x phi(x)), phi the normal density; and with h = sqrt(2/pi)
// (x + 0.044715 x^3), s = sigmoid(2 h), since (1 + tanh h) / 2 = s:  dx = dy (s + 2 x s (1 - s) h').
#pragma once

#include "ops/kernel.h"

namespace farsight {

enum class Gelu : std::uint8_t { exact, tanh };

Tensor gelu(const Tensor& x, Gelu form = Gelu::exact);

struct GeluArgs {
  const void *x = nullptr, *dy = nullptr;
  void *y = nullptr, *dx = nullptr;
  bool dx_add = false;
  Gelu form = Gelu::exact;
  std::int64_t rows = 0, columns = 0;
  std::int64_t x_stride = 0, dx_stride = 0, dy_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(gelu_forward, GeluArgs)
FARSIGHT_KERNEL(gelu_backward, GeluArgs)
