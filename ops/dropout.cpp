#include "ops/dropout.h"

#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "core/parallel.h"
#include "core/philox.h"

namespace farsight {

Tensor dropout(const Tensor& x, const DropoutOptions& options) {
  check(options.p >= 0 && options.p < 1, "dropout: p must be at least 0 and below 1, got {}",
        options.p);
  if (options.pass == nullptr || options.p == 0) return x;
  const Tensor& pass = *options.pass;
  const bool numbered = pass.elements() == 2 + x.shape().rows();
  check((numbered || pass.elements() == 2) && pass.dtype() == DType::i32 &&
            (pass.device() == x.device() || x.device() == Device::meta),
        "dropout: pass must be 2 or 2 + {} i32 on {}, got {} {} on {}", x.shape().rows(),
        name_of(x.device()), pass.elements(), name_of(pass.dtype()), name_of(pass.device()));
  const std::int64_t shared = options.shared_rows;
  check(shared >= 1 && x.shape().rows() % shared == 0,
        "dropout: rows must be a multiple of shared_rows, got {} and {}", x.shape().rows(), shared);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device(), "dropout.y");
  const DropoutArgs a{.x = x.ptr(),
                      .y = y.ptr(),
                      .pass = pass.data<std::int32_t>(),
                      .numbered = numbered,
                      .stream = options.stream,
                      .threshold = static_cast<std::uint32_t>(
                          std::min(std::round(std::ldexp(options.p, 32)), std::ldexp(1.0, 32) - 1)),
                      .scale = 1 / (1 - options.p),
                      .rows = x.shape().rows(),
                      .columns = x.shape().last(),
                      .shared_rows = shared,
                      .x_stride = x.row_stride(),
                      .y_stride = x.shape().last(),
                      .type = x.dtype()};
  FARSIGHT_LAUNCH(dropout_apply, x.device(), a);
  record("dropout", {&y}, {&x},
         [a, pass, device = x.device(), slot = Slot(x)](std::span<const Tensor> dy) {
           const Sink dx = slot.sink();
           if (!dx) return;
           DropoutArgs g = a;
           g.x = dy[0].ptr();
           g.x_stride = dy[0].row_stride();
           g.y = dx.ptr();
           g.y_stride = dx.out.row_stride();
           g.y_add = dx.add;
           FARSIGHT_LAUNCH(dropout_apply, device, g);
         });
  return y;
}

namespace cpu {
namespace {

/// The number of a row's first element.
std::uint64_t first_element(const DropoutArgs& a, std::int64_t row) {
  const std::int64_t sequence = row / a.shared_rows;
  const std::uint64_t number =
      a.numbered ? static_cast<std::uint32_t>(a.pass[2 + sequence * a.shared_rows])
                 : static_cast<std::uint64_t>(sequence);
  return number * static_cast<std::uint64_t>(a.columns);
}

template <class T>
void apply(const DropoutArgs& a) {
  using A = accumulator_t<T>;
  const std::uint64_t key = (std::uint64_t{static_cast<std::uint32_t>(a.pass[1])} << 32) |
                            static_cast<std::uint32_t>(a.pass[0]);
  const A scale = static_cast<A>(a.scale);
  const std::int64_t grain =
      std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, a.columns));
  parallel_blocks(a.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row++) {
      const T* x = static_cast<const T*>(a.x) + row * a.x_stride;
      T* y = static_cast<T*>(a.y) + row * a.y_stride;
      const std::uint64_t first = first_element(a, row);
      Random4 words{};
      for (std::int64_t i = 0; i < a.columns; i++) {
        const std::uint64_t element = first + static_cast<std::uint64_t>(i);
        if (i == 0 || element % 4 == 0) words = philox4x32(key, a.stream, element / 4);
        const bool kept = words.v[element % 4] >= a.threshold;
        const A value = kept ? static_cast<A>(x[i]) * scale : A{0};
        y[i] = T(a.y_add ? static_cast<A>(y[i]) + value : value);
      }
    }
  });
}

}  // namespace

void dropout_apply(const DropoutArgs& a) {
  with_type(a.type, [&]<class T>() { apply<T>(a); });
}

}  // namespace cpu
}  // namespace farsight
