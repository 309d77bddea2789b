#include "ops/decay.h"

#include <cmath>
#include <vector>

#include "autograd/tape.h"
#include "core/parallel.h"

namespace farsight {

Tensor decay(const Tensor& x, const DecayRates& rates) {
  check(x.shape().n == 2, "decay: x must be [K, D], got {}", x.shape());
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device(), "decay.y");
  const DecayArgs a{.x = x.ptr(),
                    .y = y.ptr(),
                    .rates = rates,
                    .K = x.dim(0),
                    .D = x.dim(1),
                    .x_stride = x.row_stride(),
                    .y_stride = y.row_stride(),
                    .type = x.dtype()};
  FARSIGHT_LAUNCH(decay_apply, x.device(), a);
  record("decay", {&y}, {&x}, [a, device = x.device(), slot = Slot(x)](std::span<const Tensor> dy) {
    const Sink dx = slot.sink();
    if (!dx) return;
    DecayArgs g = a;
    g.x = dy[0].ptr();
    g.x_stride = dy[0].row_stride();
    g.y = dx.ptr();
    g.y_add = dx.add;
    g.y_stride = dx.out.row_stride();
    FARSIGHT_LAUNCH(decay_apply, device, g);
  });
  return y;
}

namespace cpu {

void decay_apply(const DecayArgs& a) {
  with_type(a.type, [&]<class T>() {
    using A = accumulator_t<T>;
    std::vector<A> rates;
    for (std::int64_t d = 0; d < a.D; d++) {
      rates.push_back(static_cast<A>(a.rates.rate(d, a.D)));
    }
    parallel_blocks(a.K, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; t++) {
        const T* x = static_cast<const T*>(a.x) + t * a.x_stride;
        T* y = static_cast<T*>(a.y) + t * a.y_stride;
        const A time = static_cast<A>(a.rates.time(t));
        for (std::int64_t d = 0; d < a.D; d++) {
          const A value =
              static_cast<A>(x[d]) * std::exp(-rates[static_cast<std::size_t>(d)] * time);
          y[d] = T(a.y_add ? static_cast<A>(y[d]) + value : value);
        }
      }
    });
  });
}

}  // namespace cpu
}  // namespace farsight
