#include "ops/linear.h"

#include <algorithm>
#include <vector>

#include "autograd/tape.h"
#include "core/lanes.h"
#include "core/parallel.h"
#include "ops/gemm.h"

namespace farsight {

// Shares of the gradient of a bias: fixed, so that the sum's order is.
constexpr std::int64_t kCudaBiasShares = 128, kCudaBiasRows = 64;

Tensor linear(const Tensor& x, const Tensor& w, const Tensor* bias) {
  const std::int64_t K = x.shape().last();
  check(w.shape().n == 2 && w.dim(1) == K && w.dense(), "linear: w must be [N, K={}], got {}", K,
        w.shape());
  check(w.dtype() == x.dtype(), "linear: x is {}, w is {}", name_of(x.dtype()), name_of(w.dtype()));
  if (bias != nullptr) {
    const DType wide = accumulator_of(x.dtype());
    check(bias->shape() == Shape{w.dim(0)} && bias->dtype() == wide,
          "linear: bias must be [N={}] {}, got {} {}", w.dim(0), name_of(wide), bias->shape(),
          name_of(bias->dtype()));
  }
  Tensor y = Tensor::empty(x.shape().with_last(w.dim(0)), x.dtype(), x.device(), "linear.y");
  const bool cuda = x.device() == Device::cuda;
  Tensor rounded_bias;
  if (bias != nullptr && cuda && x.dtype() == DType::bf16) {
    rounded_bias = Tensor::empty(bias->shape(), DType::bf16, x.device(), "linear.bias");
  }
  const LinearArgs a{.x = x.ptr(),
                     .w = w.ptr(),
                     .bias = bias ? bias->ptr() : nullptr,
                     .y = y.ptr(),
                     .rounded_bias = rounded_bias.ptr(),
                     .rows = x.shape().rows(),
                     .K = K,
                     .N = w.dim(0),
                     .x_stride = x.row_stride(),
                     .type = x.dtype()};
  FARSIGHT_LAUNCH(linear_forward, x.device(), a);
  const Slot bias_slot = bias ? Slot(*bias) : Slot();
  record("linear", {&y}, {&x, &w, bias},
         [=, x_slot = Slot(x), w_slot = Slot(w)](std::span<const Tensor> dy) {
           LinearArgs g = a;
           g.x = x.ptr();  // keeps x and w alive until here
           g.w = w.ptr();
           const Sink dx = x_slot.sink(), dw = w_slot.parameter_sink();
           const Sink dbias = bias_slot.parameter_sink();
           check(!dw || dw.out.dense(), "linear: the gradient of w must be dense");
           g.dy = dy[0].ptr();
           g.dy_stride = dy[0].row_stride();
           g.dx = dx.ptr();
           g.dx_add = dx.add;
           g.dx_stride = dx ? dx.out.row_stride() : 0;
           g.dw = dw.ptr();
           g.dw_add = dw.add;
           g.dbias = dbias.ptr();
           g.dbias_add = dbias.add;
           Tensor partial;
           if (dbias && cuda) {
             g.shares = std::clamp<std::int64_t>(g.rows / kCudaBiasRows, 1, kCudaBiasShares);
             partial = Tensor::empty({g.shares, g.N}, DType::f32, x.device(), "linear.partial");
             g.partial = partial.data<float>();
           }
           FARSIGHT_LAUNCH(linear_backward, x.device(), g);
         });
  return y;
}

namespace cpu {
namespace {

/// A matrix as the arithmetic type: itself, or a widened copy of bf16.
template <class T>
class Operand {
 public:
  using A = accumulator_t<T>;
  Operand(const void* from, std::int64_t rows, std::int64_t columns, std::int64_t stride)
      : data_(static_cast<const A*>(from)), stride_(stride) {
    if constexpr (std::is_same_v<T, bf16>) {
      const bf16* source = static_cast<const bf16*>(from);
      wide_ = Tensor::empty({rows, columns}, DType::f32, Device::cpu, "linear.widened");
      float* to = wide_.data<float>();
      parallel_blocks(rows, 64, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; row++) {
          for (std::int64_t i = 0; i < columns; i++) {
            to[row * columns + i] = static_cast<float>(source[row * stride + i]);
          }
        }
      });
      data_ = to;
      stride_ = columns;
    }
  }
  const A* data() const { return data_; }
  std::int64_t stride() const { return stride_; }

 private:
  Tensor wide_;
  const A* data_;
  std::int64_t stride_;
};

/// C in the storage type: in place, or computed in f32 and rounded to bf16 once. C starts as itself
/// (add), as the bias, or as zero.
template <class T>
void gemm_into(Gemm<accumulator_t<T>> g, void* out, std::int64_t stride, bool add,
               const accumulator_t<T>* bias = nullptr) {
  using A = accumulator_t<T>;
  T* to = static_cast<T*>(out);
  Tensor wide;
  if constexpr (std::is_same_v<T, bf16>) {
    wide = Tensor::empty({g.m, g.n}, DType::f32, Device::cpu, "linear.widened");
    g.c = wide.data<float>();
    g.c_stride = g.n;
  } else {
    g.c = to;
    g.c_stride = stride;
  }
  g.add = add || bias != nullptr;
  if (g.add && (bias != nullptr || wide)) {
    parallel_blocks(g.m, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; row++) {
        for (std::int64_t i = 0; i < g.n; i++) {
          g.c[row * g.c_stride + i] = bias ? bias[i] : static_cast<A>(to[row * stride + i]);
        }
      }
    });
  }
  gemm(g);
  if constexpr (std::is_same_v<T, bf16>) {
    parallel_blocks(g.m, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; row++) {
        for (std::int64_t i = 0; i < g.n; i++) {
          to[row * stride + i] = bf16(g.c[row * g.n + i]);
        }
      }
    });
  }
}

/// dbias[n] = sum over rows of dy, in row order within a column.
template <class T>
void sum_rows(const LinearArgs& a) {
  using A = accumulator_t<T>;
  const T* dy = static_cast<const T*>(a.dy);
  A* out = static_cast<A*>(a.dbias);
  constexpr int L = kLanes<A>;
  parallel_for(lane_blocks<A>(a.N), [&](std::int64_t block) {
    const std::int64_t n = block * L;
    const int count = static_cast<int>(std::min<std::int64_t>(L, a.N - n));
    Lanes<A> sum = {};
    for (std::int64_t row = 0; row < a.rows; row++) {
      sum += load_lanes(dy + row * a.dy_stride + n, count);
    }
    put_lanes(out + n, sum, count, a.dbias_add);
  });
}

template <class T>
void forward(const LinearArgs& a) {
  using A = accumulator_t<T>;
  const Operand<T> x(a.x, a.rows, a.K, a.x_stride), w(a.w, a.N, a.K, a.K);
  gemm_into<T>({.a = x.data(),
                .b = w.data(),
                .m = a.rows,
                .n = a.N,
                .k = a.K,
                .a_stride = x.stride(),
                .b_stride = w.stride(),
                .transpose_b = true},
               a.y, a.N, false, static_cast<const A*>(a.bias));
}

template <class T>
void backward(const LinearArgs& a) {
  using A = accumulator_t<T>;
  const Operand<T> dy(a.dy, a.rows, a.N, a.dy_stride);
  if (a.dx != nullptr) {
    const Operand<T> w(a.w, a.N, a.K, a.K);
    gemm_into<T>({.a = dy.data(),
                  .b = w.data(),
                  .m = a.rows,
                  .n = a.K,
                  .k = a.N,
                  .a_stride = dy.stride(),
                  .b_stride = w.stride()},
                 a.dx, a.dx_stride, a.dx_add);
  }
  if (a.dw != nullptr) {
    const Operand<T> x(a.x, a.rows, a.K, a.x_stride);
    gemm(Gemm<A>{.a = dy.data(),
                 .b = x.data(),
                 .c = static_cast<A*>(a.dw),
                 .m = a.N,
                 .n = a.K,
                 .k = a.rows,
                 .a_stride = dy.stride(),
                 .b_stride = x.stride(),
                 .c_stride = a.K,
                 .transpose_a = true,
                 .add = a.dw_add});
  }
  if (a.dbias != nullptr) sum_rows<T>(a);
}

}  // namespace

void linear_forward(const LinearArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void linear_backward(const LinearArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace cpu
}  // namespace farsight
