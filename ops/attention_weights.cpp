#include "ops/attention_weights.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/weight_matrix_rows.h"

namespace farsight {

Tensor attention_weights(const Tensor& qkv, const AttentionOptions& options,
                         const MatrixPart& part) {
  const std::int64_t H = options.heads;
  check(qkv.shape().n == 3 && qkv.dim(0) == 1 && H >= 1 && qkv.dim(2) % (3 * H) == 0,
        "attention_weights: qkv must be [1, T, H={} x 3 x hd], got {}", H, qkv.shape());
  check(options.position == nullptr, "attention_weights: the sequence must fill its row");
  const std::int64_t T = qkv.dim(1), head = qkv.dim(2) / (3 * H);
  const DType wide = accumulator_of(qkv.dtype());
  const Device device = qkv.device();
  const Tensor x = qkv.to(wide);
  const Tensor y = Tensor::empty({1, T, H * head}, wide, device, "attention_weights.y");
  const Tensor lse = Tensor::empty({1, H, T}, wide, device, "attention_weights.lse");
  const Tensor turns = Tensor::empty({T, options.rotary}, wide, device, "attention_weights.turns");
  const AttentionArgs forward{.qkv = x.ptr(),
                              .y = y.ptr(),
                              .lse = lse.ptr(),
                              .turns = turns.ptr(),
                              .B = 1,
                              .T = T,
                              .H = H,
                              .head = head,
                              .rotary = options.rotary,
                              .qkv_stride = x.row_stride(),
                              .base = options.base,
                              .type = wide};
  FARSIGHT_LAUNCH(attention_forward, device, forward);
  Tensor m, partial;
  const AttentionWeightsArgs a{
      .matrix = matrix_args("attention_weights", part, T, H, x, m, partial),
      .qkv = x.ptr(),
      .turns = turns.ptr(),
      .lse = lse.ptr(),
      .H = H,
      .head = head,
      .rotary = options.rotary};
  FARSIGHT_LAUNCH(attention_weights, device, a);
  return m;
}

namespace cpu {
namespace {

template <class A>
class Weights {
 public:
  explicit Weights(const AttentionWeightsArgs& a) : a_(a), m_(a.matrix) {
    for (const int part : {0, 1}) {
      turned_[part].resize(static_cast<std::size_t>(m_.channels * m_.T * a.head));
      parallel_for(m_.channels * m_.T, [&](std::int64_t i) { turn(part, i / m_.T, i % m_.T); });
    }
  }

  A mean(std::int64_t t, std::int64_t s) const {
    const A scale = 1 / std::sqrt(static_cast<A>(a_.head));
    A sum = 0;
    for (std::int64_t h = 0; h < m_.channels; h++) {
      const A *q = turned_[0].data() + place(h, t), *k = turned_[1].data() + place(h, s);
      A score = 0;
      for (std::int64_t i = 0; i < a_.head; i++) {
        score += q[i] * k[i];
      }
      sum += std::exp(score * scale - static_cast<const A*>(a_.lse)[(m_.channel + h) * m_.T + t]);
    }
    return sum / static_cast<A>(m_.channels);
  }

 private:
  std::int64_t place(std::int64_t h, std::int64_t t) const { return (h * m_.T + t) * a_.head; }

  /// q' (part 0) or k' (1) of a token.
  void turn(int part, std::int64_t h, std::int64_t t) {
    const A* x = static_cast<const A*>(a_.qkv) + ((t * a_.H + m_.channel + h) * 3 + part) * a_.head;
    const A* turns = static_cast<const A*>(a_.turns) + t * a_.rotary;
    A* y = turned_[part].data() + place(h, t);
    const std::int64_t half = a_.rotary / 2;
    for (std::int64_t i = 0; i < half; i++) {
      const A cosine = turns[2 * i], sine = turns[2 * i + 1];
      y[i] = x[i] * cosine - x[i + half] * sine;
      y[i + half] = x[i + half] * cosine + x[i] * sine;
    }
    std::copy(x + a_.rotary, x + a_.head, y + a_.rotary);
  }

  const AttentionWeightsArgs& a_;
  const MatrixArgs& m_;
  std::vector<A> turned_[2];  // [heads, T, head]
};

template <class A>
void weights(const AttentionWeightsArgs& a) {
  const Weights<A> of(a);
  fill_rows<A>(a.matrix, [&](std::int64_t t, std::int64_t s) { return of.mean(t, s); });
}

}  // namespace

void attention_weights(const AttentionWeightsArgs& a) {
  a.matrix.type == DType::f64 ? weights<double>(a) : weights<float>(a);
}

}  // namespace cpu
}  // namespace farsight
