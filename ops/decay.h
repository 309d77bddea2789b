// The window of an implicit filter, exponential in time (models.md 4.1):
//
//   y[t,d] = x[t,d] exp(-rate[d] t)
//
//   x, y: [K, D], rows of x may be strided    rate: D values at equal distances from `first` to `last`
// Gradient: dx[t,d] = dy[t,d] exp(-rate[d] t).
#pragma once

#include "ops/kernel.h"

namespace farsight {

struct DecayRates {
  double first = 0, last = 0;  ///< of channel 0 and of channel D - 1, a time step

  FARSIGHT_HOST_DEVICE double of(std::int64_t d, std::int64_t D) const {
    return D == 1 ? first
                  : first + (last - first) * static_cast<double>(d) / static_cast<double>(D - 1);
  }
};

Tensor decay(const Tensor& x, const DecayRates& rates);

struct DecayArgs {
  const void* x = nullptr;
  void* y = nullptr;
  bool y_add = false;
  DecayRates rates{};
  std::int64_t K = 0, D = 0;
  std::int64_t x_stride = 0, y_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(decay_apply, DecayArgs)
