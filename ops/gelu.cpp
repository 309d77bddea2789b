#include "ops/gelu.h"

#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "core/lanes.h"
#include "core/parallel.h"

namespace farsight {

Tensor gelu(const Tensor& x, Gelu form) {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device(), "gelu.y");
  const GeluArgs a{.x = x.ptr(),
                   .y = y.ptr(),
                   .form = form,
                   .rows = x.shape().rows(),
                   .columns = x.shape().last(),
                   .x_stride = x.row_stride(),
                   .type = x.dtype()};
  FARSIGHT_LAUNCH(gelu_forward, x.device(), a);
  record("gelu", {&y}, {&x}, [a, x, slot = Slot(x)](std::span<const Tensor> dy) {
    const Sink dx = slot.sink();
    if (!dx) return;
    GeluArgs g = a;
    g.x = x.ptr();  // keeps x alive until here
    g.dy = dy[0].ptr();
    g.dy_stride = dy[0].row_stride();
    g.dx = dx.ptr();
    g.dx_add = dx.add;
    g.dx_stride = dx.out.row_stride();
    FARSIGHT_LAUNCH(gelu_backward, x.device(), g);
  });
  return y;
}

namespace cpu {
namespace {

/// erfc(x). f32: within 2e-7 of its value, by the rational Chebyshev fit of Press, Teukolsky,
/// Vetterling and Flannery, Numerical Recipes, section 6.2.
[[gnu::always_inline]] inline Lanes<float> erfc_lanes(Lanes<float> x) {
  const Lanes<float> z = x < 0 ? -x : x;
  const Lanes<float> t = 1.0f / (1.0f + 0.5f * z);
  Lanes<float> p = broadcast(0.17087277f);
  for (const float c : {-0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f, -0.18628806f,
                        0.09678418f, 0.37409196f, 1.00002368f}) {
    p = p * t + c;
  }
  const Lanes<float> tail = t * exp(-z * z + (p * t - 1.26551223f));
  return x < 0 ? 2.0f - tail : tail;
}
[[gnu::always_inline]] inline Lanes<double> erfc_lanes(Lanes<double> x) {
  for (int i = 0; i < kLanes<double>; i++) {
    x[i] = std::erfc(x[i]);
  }
  return x;
}

template <class A>
[[gnu::always_inline]] inline Lanes<A> normal_below(Lanes<A> x) {
  constexpr A kRootHalf = static_cast<A>(0.70710678118654752440);
  return static_cast<A>(0.5) * erfc_lanes(-kRootHalf * x);
}
template <class A>
[[gnu::always_inline]] inline Lanes<A> normal_density(Lanes<A> x) {
  constexpr A kPeak = static_cast<A>(0.39894228040143267794);  // 1 / sqrt(2 pi)
  return kPeak * exp(static_cast<A>(-0.5) * x * x);
}

constexpr double kSlope = 0.79788456080286535588;  // sqrt(2 / pi)
constexpr double kCubic = 0.044715;

template <class A>
[[gnu::always_inline]] inline Lanes<A> value(Lanes<A> x, Gelu form) {
  if (form == Gelu::exact) return x * normal_below<A>(x);
  const Lanes<A> h = static_cast<A>(kSlope) * (x + static_cast<A>(kCubic) * x * x * x);
  return x * sigmoid(2 * h);
}
template <class A>
[[gnu::always_inline]] inline Lanes<A> derivative(Lanes<A> x, Gelu form) {
  if (form == Gelu::exact) return normal_below<A>(x) + x * normal_density<A>(x);
  const Lanes<A> h = static_cast<A>(kSlope) * (x + static_cast<A>(kCubic) * x * x * x);
  const Lanes<A> slope = static_cast<A>(kSlope) * (1 + static_cast<A>(3 * kCubic) * x * x);
  const Lanes<A> s = sigmoid(2 * h);
  return s + 2 * x * s * (1 - s) * slope;
}

/// Calls body(row, column, count) for every vector of lanes.
template <class A, class Body>
void for_each_vector(const GeluArgs& a, const Body& body) {
  const std::int64_t grain =
      std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, a.columns));
  parallel_blocks(a.rows, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row++) {
      for (std::int64_t i = 0; i < a.columns; i += kLanes<A>) {
        body(row, i, static_cast<int>(std::min<std::int64_t>(kLanes<A>, a.columns - i)));
      }
    }
  });
}

template <class T>
void forward(const GeluArgs& a) {
  using A = accumulator_t<T>;
  const T* x = static_cast<const T*>(a.x);
  T* y = static_cast<T*>(a.y);
  for_each_vector<A>(a, [&](std::int64_t row, std::int64_t i, int count) {
    store_lanes(y + row * a.columns + i,
                value<A>(load_lanes(x + row * a.x_stride + i, count), a.form), count);
  });
}

template <class T>
void backward(const GeluArgs& a) {
  using A = accumulator_t<T>;
  const T *x = static_cast<const T*>(a.x), *dy = static_cast<const T*>(a.dy);
  T* dx = static_cast<T*>(a.dx);
  for_each_vector<A>(a, [&](std::int64_t row, std::int64_t i, int count) {
    const Lanes<A> slope = derivative<A>(load_lanes(x + row * a.x_stride + i, count), a.form);
    put_lanes(dx + row * a.dx_stride + i, load_lanes(dy + row * a.dy_stride + i, count) * slope,
              count, a.dx_add);
  });
}

}  // namespace

void gelu_forward(const GeluArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void gelu_backward(const GeluArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace cpu
}  // namespace farsight
