#include "ops/sine.h"

#include <cmath>

#include "autograd/tape.h"
#include "core/parallel.h"

namespace farsight {

Tensor sine(const Tensor& x, const Tensor& frequency) {
  const std::int64_t D = x.shape().last();
  const DType wide = accumulator_of(x.dtype());
  check(frequency.shape() == Shape{D} && frequency.dtype() == wide,
        "sine: frequency must be [D={}] {}, got {} {}", D, name_of(wide), frequency.shape(),
        name_of(frequency.dtype()));
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device(), "sine.y");
  const SineArgs a{.x = x.ptr(),
                   .frequency = frequency.ptr(),
                   .y = y.ptr(),
                   .rows = x.shape().rows(),
                   .D = D,
                   .x_stride = x.row_stride(),
                   .type = x.dtype()};
  FARSIGHT_LAUNCH(sine_forward, x.device(), a);
  record("sine", {&y}, {&x, &frequency},
         [a, x, frequency, x_slot = Slot(x),
          frequency_slot = Slot(frequency)](std::span<const Tensor> dy) {
           SineArgs g = a;
           g.x = x.ptr();  // the captures keep these bytes alive
           g.frequency = frequency.ptr();
           g.dy = dy[0].ptr();
           g.dy_stride = dy[0].row_stride();
           const Sink dx = x_slot.sink(), dfrequency = frequency_slot.parameter_sink();
           g.dx = dx.ptr();
           g.dx_add = dx.add;
           g.dx_stride = dx ? dx.out.row_stride() : 0;
           g.dfrequency = dfrequency.ptr();
           g.dfrequency_add = dfrequency.add;
           Tensor partial;
           if (x.device() == Device::cuda) {
             partial = Tensor::empty({(g.rows + kSineChunk - 1) / kSineChunk, g.D}, DType::f32,
                                     x.device(), "sine.partial");
             g.partial = partial.data<float>();
           }
           FARSIGHT_LAUNCH(sine_backward, x.device(), g);
         });
  return y;
}

namespace cpu {
namespace {

template <class T>
accumulator_t<T> wide(T x) {
  return static_cast<accumulator_t<T>>(x);
}

template <class T>
void forward(const SineArgs& a) {
  using A = accumulator_t<T>;
  const A* frequency = static_cast<const A*>(a.frequency);
  parallel_blocks(a.rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row++) {
      const T* x = static_cast<const T*>(a.x) + row * a.x_stride;
      T* y = static_cast<T*>(a.y) + row * a.D;
      for (std::int64_t d = 0; d < a.D; d++) {
        y[d] = T(std::sin(frequency[d] * wide(x[d])));
      }
    }
  });
}

/// By blocks of columns: the sum over rows has one order.
template <class T>
void backward(const SineArgs& a) {
  using A = accumulator_t<T>;
  constexpr std::int64_t kColumns = 16;
  const A* frequency = static_cast<const A*>(a.frequency);
  parallel_blocks(a.D, kColumns, [&](std::int64_t begin, std::int64_t end) {
    A sum[kColumns] = {};
    for (std::int64_t row = 0; row < a.rows; row++) {
      const T* x = static_cast<const T*>(a.x) + row * a.x_stride;
      const T* dy = static_cast<const T*>(a.dy) + row * a.dy_stride;
      T* dx = static_cast<T*>(a.dx) + row * a.dx_stride;
      for (std::int64_t d = begin; d < end; d++) {
        const A slope = std::cos(frequency[d] * wide(x[d])) * wide(dy[d]);
        sum[d - begin] += wide(x[d]) * slope;
        if (a.dx == nullptr) continue;
        dx[d] = T((a.dx_add ? wide(dx[d]) : A{}) + frequency[d] * slope);
      }
    }
    if (a.dfrequency == nullptr) return;
    A* out = static_cast<A*>(a.dfrequency);
    for (std::int64_t d = begin; d < end; d++) {
      out[d] = (a.dfrequency_add ? out[d] : A{}) + sum[d - begin];
    }
  });
}

}  // namespace

void sine_forward(const SineArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void sine_backward(const SineArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace cpu
}  // namespace farsight
