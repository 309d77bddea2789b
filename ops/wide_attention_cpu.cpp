// On the CPU: one sequence after another, each by whole matrix products.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/gemm.h"
#include "ops/wide_attention.h"

namespace farsight::cpu {
namespace {

/// Rows of one sequence as the arithmetic type: themselves, or a widened copy of bf16.
template <class T>
class Rows {
 public:
  using A = accumulator_t<T>;
  Rows(const void* all, std::int64_t sequence, std::int64_t rows, std::int64_t columns,
       std::int64_t stride)
      : stride_(stride) {
    const T* from = static_cast<const T*>(all) + sequence * rows * stride;
    if constexpr (std::is_same_v<T, A>) {
      data_ = from;
    } else {
      wide_.resize(static_cast<std::size_t>(rows * columns));
      for (std::int64_t i = 0; i < rows * columns; i++) {
        wide_[static_cast<std::size_t>(i)] =
            static_cast<A>(from[i / columns * stride + i % columns]);
      }
      data_ = wide_.data();
      stride_ = columns;
    }
  }
  const A* data() const { return data_; }
  std::int64_t stride() const { return stride_; }

 private:
  std::vector<A> wide_;
  const A* data_ = nullptr;
  std::int64_t stride_;
};

/// C[M, N] of one sequence = (add ? C : 0) + op(a) op(b); a product into bf16 is rounded once.
template <class T, class A = accumulator_t<T>>
void multiply(Gemm<A> g, void* all, std::int64_t sequence, std::int64_t stride, bool add) {
  T* to = static_cast<T*>(all) + sequence * g.m * stride;
  g.add = add;
  if constexpr (std::is_same_v<T, A>) {
    g.c = to;
    g.c_stride = stride;
    gemm(g);
  } else {
    std::vector<A> sums(static_cast<std::size_t>(g.m * g.n));
    g.c = sums.data();
    g.c_stride = g.n;
    g.add = false;
    gemm(g);
    for (std::int64_t i = 0; i < g.m * g.n; i++) {
      T& out = to[i / g.n * stride + i % g.n];
      const A sum = sums[static_cast<std::size_t>(i)];
      out = T(add ? static_cast<A>(out) + sum : sum);
    }
  }
}

/// The keys [first, last] that query t of a sequence sees.
struct Seen {
  std::int64_t first, last;
};
Seen seen_by(const WideAttentionArgs& a, std::int64_t sequence, std::int64_t t) {
  const std::int64_t last = a.S - a.T + t;
  return {a.position ? last - a.position[sequence * a.T + t] : 0, last};
}

template <class T>
void forward(const WideAttentionArgs& a) {
  using A = accumulator_t<T>;
  const A scale = 1 / std::sqrt(static_cast<A>(a.D));
  for (std::int64_t b = 0; b < a.B; b++) {
    const Rows<T> q(a.q, b, a.T, a.D, a.q_stride), k(a.k, b, a.S, a.D, a.k_stride),
        v(a.v, b, a.S, a.D, a.v_stride);
    A* scores = static_cast<A*>(a.scores) + b * a.T * a.S;
    gemm(Gemm<A>{.a = q.data(),
                 .b = k.data(),
                 .c = scores,
                 .m = a.T,
                 .n = a.S,
                 .k = a.D,
                 .a_stride = q.stride(),
                 .b_stride = k.stride(),
                 .c_stride = a.S,
                 .transpose_b = true});
    T* p = static_cast<T*>(a.p) + b * a.T * a.S;
    parallel_blocks(a.T, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; t++) {
        const Seen seen = seen_by(a, b, t);
        const A* s = scores + t * a.S;
        const A most = *std::max_element(s + seen.first, s + seen.last + 1);
        A sum = 0;
        for (std::int64_t j = seen.first; j <= seen.last; j++) {
          sum += std::exp(scale * (s[j] - most));
        }
        for (std::int64_t j = 0; j < a.S; j++) {
          const bool sees = j >= seen.first && j <= seen.last;
          p[t * a.S + j] = T(sees ? std::exp(scale * (s[j] - most)) / sum : A{0});
        }
      }
    });
    const Rows<T> weights(a.p, b, a.T, a.S, a.S);
    multiply<T>(Gemm<A>{.a = weights.data(),
                        .b = v.data(),
                        .m = a.T,
                        .n = a.D,
                        .k = a.S,
                        .a_stride = weights.stride(),
                        .b_stride = v.stride()},
                a.y, b, a.D, false);
  }
}

template <class T>
void backward(const WideAttentionArgs& a) {
  using A = accumulator_t<T>;
  const A scale = 1 / std::sqrt(static_cast<A>(a.D));
  for (std::int64_t b = 0; b < a.B; b++) {
    const Rows<T> q(a.q, b, a.T, a.D, a.q_stride), k(a.k, b, a.S, a.D, a.k_stride),
        v(a.v, b, a.S, a.D, a.v_stride), dy(a.dy, b, a.T, a.D, a.dy_stride),
        p(a.p, b, a.T, a.S, a.S);
    A* ds = static_cast<A*>(a.scores) + b * a.T * a.S;
    gemm(Gemm<A>{.a = dy.data(),
                 .b = v.data(),
                 .c = ds,
                 .m = a.T,
                 .n = a.S,
                 .k = a.D,
                 .a_stride = dy.stride(),
                 .b_stride = v.stride(),
                 .c_stride = a.S,
                 .transpose_b = true});
    parallel_blocks(a.T, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; t++) {
        const A* weights = p.data() + t * p.stride();
        A* row = ds + t * a.S;
        A sum = 0;
        for (std::int64_t j = 0; j < a.S; j++) {
          sum += weights[j] * row[j];
        }
        for (std::int64_t j = 0; j < a.S; j++) {
          row[j] = scale * weights[j] * (row[j] - sum);
        }
      }
    });
    const Gemm<A> by_ds{.a = ds, .k = a.S, .a_stride = a.S};
    if (a.dq != nullptr) {
      Gemm<A> g = by_ds;
      g.b = k.data();
      g.b_stride = k.stride();
      g.m = a.T;
      g.n = a.D;
      multiply<T>(g, a.dq, b, a.dq_stride, a.dq_add);
    }
    if (a.dk != nullptr) {
      Gemm<A> g = by_ds;
      g.transpose_a = true;
      g.b = q.data();
      g.b_stride = q.stride();
      g.m = a.S;
      g.n = a.D;
      g.k = a.T;
      multiply<T>(g, a.dk, b, a.dk_stride, a.dk_add);
    }
    if (a.dv != nullptr) {
      multiply<T>(Gemm<A>{.a = p.data(),
                          .b = dy.data(),
                          .m = a.S,
                          .n = a.D,
                          .k = a.T,
                          .a_stride = p.stride(),
                          .b_stride = dy.stride(),
                          .transpose_a = true},
                  a.dv, b, a.dv_stride, a.dv_add);
    }
  }
}

}  // namespace

void wide_attention_forward(const WideAttentionArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void wide_attention_backward(const WideAttentionArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace farsight::cpu
