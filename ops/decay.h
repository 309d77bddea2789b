// The window of an implicit filter, exponential in time (Poli et al., 2023, section 3.3):
//
//   y[t,d] = x[t,d] exp(-rate[d] t / span)
//
//   x, y: [K, D], rows of x may be strided    rate: D values at equal distances from `first` to `last`
// Gradient: dx[t,d] = dy[t,d] exp(-rate[d] t / span).
#pragma once

#include "ops/kernel.h"

namespace farsight {

struct DecayRates {
  double first = 0, last = 0;  ///< of channel 0 and of channel D - 1
  double span = 1;             ///< time steps
  bool rounded = false;        ///< rate and t / span to bf16, as in a model that is cast to it

  FARSIGHT_HOST_DEVICE double rate(std::int64_t d, std::int64_t D) const {
    const double share = D == 1 ? 0.0 : static_cast<double>(d) / static_cast<double>(D - 1);
    return kept(first + (last - first) * share);
  }
  FARSIGHT_HOST_DEVICE double time(std::int64_t t) const {
    return kept(static_cast<double>(t) / span);
  }
  FARSIGHT_HOST_DEVICE double kept(double x) const {
    return rounded ? static_cast<double>(static_cast<float>(bf16(static_cast<float>(x)))) : x;
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
