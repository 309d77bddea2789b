#include "ops/rotate_pairs.h"

#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "core/parallel.h"

namespace farsight {

Tensor rotate_pairs(const Tensor& x, const RotateOptions& options) {
  check(x.shape().n == 3 && x.dim(2) % 2 == 0,
        "rotate_pairs: x must be [B, T, D] with an even D, got {}", x.shape());
  const std::int64_t B = x.dim(0), T = x.dim(1), D = x.dim(2);
  const Tensor position = options.position ? *options.position : Tensor();
  if (position) {
    check(position.shape() == Shape{B, T} && position.dtype() == DType::i32 && position.dense() &&
              options.first == 0,
          "rotate_pairs: position must be [B={}, T={}] i32, and first 0, got {} {} and {}", B, T,
          position.shape(), name_of(position.dtype()), options.first);
  }
  const Device device = x.device();
  Tensor y = Tensor::empty(x.shape(), x.dtype(), device, "rotate_pairs.y");
  const Tensor turns =
      Tensor::empty({T, D}, accumulator_of(x.dtype()), device, "rotate_pairs.turns");
  const RotateArgs a{.x = x.ptr(),
                     .y = y.ptr(),
                     .position = position ? position.data<std::int32_t>() : nullptr,
                     .turns = turns.ptr(),
                     .B = B,
                     .T = T,
                     .D = D,
                     .first = options.first,
                     .x_stride = x.row_stride(),
                     .y_stride = D,
                     .base = options.base,
                     .type = x.dtype()};
  FARSIGHT_LAUNCH(rotate_table, device, a);
  FARSIGHT_LAUNCH(rotate_pairs, device, a);
  record("rotate_pairs", {&y}, {&x}, [=, slot = Slot(x)](std::span<const Tensor> dy) {
    const Sink dx = slot.sink();
    if (!dx) return;
    RotateArgs g = a;
    g.position =
        position ? position.data<std::int32_t>() : nullptr;  // keeps these alive until here
    g.turns = turns.ptr();
    g.x = dy[0].ptr();
    g.x_stride = dy[0].row_stride();
    g.y = dx.ptr();
    g.y_stride = dx.out.row_stride();
    g.y_add = dx.add;
    g.back = true;
    FARSIGHT_LAUNCH(rotate_pairs, device, g);
  });
  return y;
}

namespace cpu {
namespace {

template <class A>
void fill_table(const RotateArgs& a) {
  A* turns = static_cast<A*>(a.turns);
  parallel_blocks(a.T, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t t = begin; t < end; t++) {
      for (std::int64_t i = 0; i < a.D; i += 2) {
        const double exponent = -static_cast<double>(i) / static_cast<double>(a.D);
        const double angle = static_cast<double>(a.first + t) * std::pow(a.base, exponent);
        turns[t * a.D + i] = static_cast<A>(std::cos(angle));
        turns[t * a.D + i + 1] = static_cast<A>(std::sin(angle));
      }
    }
  });
}

template <class T>
void turn(const RotateArgs& a) {
  using A = accumulator_t<T>;
  parallel_blocks(a.B * a.T, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row++) {
      const std::int64_t p = a.position ? a.position[row] : row % a.T;
      const A* turns = static_cast<const A*>(a.turns) + p * a.D;
      const T* x = static_cast<const T*>(a.x) + row * a.x_stride;
      T* y = static_cast<T*>(a.y) + row * a.y_stride;
      for (std::int64_t i = 0; i < a.D; i += 2) {
        const A cosine = turns[i], sine = a.back ? -turns[i + 1] : turns[i + 1];
        const A low = static_cast<A>(x[i]), high = static_cast<A>(x[i + 1]);
        const A turned[2] = {low * cosine - high * sine, high * cosine + low * sine};
        for (std::int64_t k = 0; k < 2; k++) {
          y[i + k] = T(a.y_add ? static_cast<A>(y[i + k]) + turned[k] : turned[k]);
        }
      }
    }
  });
}

}  // namespace

void rotate_table(const RotateArgs& a) {
  a.type == DType::f64 ? fill_table<double>(a) : fill_table<float>(a);
}
void rotate_pairs(const RotateArgs& a) {
  with_type(a.type, [&]<class T>() { turn<T>(a); });
}

}  // namespace cpu
}  // namespace farsight
