#include "ops/hidden_attention.h"

#include <cmath>
#include <vector>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/weight_matrix_rows.h"

namespace farsight {
namespace {

Tensor widened(const Tensor& x) {
  return x.to(accumulator_of(x.dtype()));
}

/// The arguments in the type of sums, and the times of all steps.
struct Times {
  Tensor delta, gate, bias, A_log, dt, S, rest;
  HiddenAttentionArgs args;

  Times(const ScanInputs& in, std::int64_t steps, bool sums)
      : delta(widened(in.delta)),
        gate(in.gate ? widened(*in.gate) : Tensor()),
        bias(in.bias),
        A_log(in.A_log) {
    const Shape shape{steps, in.u.dim(2)};
    const auto make = [&] {
      return Tensor::empty(shape, delta.dtype(), delta.device(), "hidden_attention.times");
    };
    dt = make();
    if (sums) S = make();
    if (sums) rest = make();
    args = {.matrix = {.T = steps, .type = delta.dtype()},
            .delta = delta.ptr(),
            .gate = gate.ptr(),
            .bias = bias.ptr(),
            .A_log = A_log.ptr(),
            .dt = dt.ptr(),
            .S = S.ptr(),
            .rest = rest.ptr(),
            .D = in.u.dim(2),
            .N = in.A_log.dim(1)};
    FARSIGHT_LAUNCH(scan_times, delta.device(), args);
  }
};

void check_inputs(const ScanInputs& in) {
  check(in.u.shape().n == 3 && in.u.dim(0) == 1, "hidden_attention: u must be [1, T, D], got {}",
        in.u.shape());
  check(
      in.delta.shape() == in.u.shape() && (in.gate == nullptr || in.gate->shape() == in.u.shape()),
      "hidden_attention: delta and gate must be {} as u is, got {}", in.u.shape(),
      in.delta.shape());
  check(in.A_log.shape().n == 2 && in.A_log.dim(0) == in.u.dim(2) && in.A_log.dense(),
        "hidden_attention: A_log must be dense [D={}, N], got {}", in.u.dim(2), in.A_log.shape());
  const Shape selection{1, in.u.dim(1), in.A_log.dim(1)};
  check(in.B.shape() == selection && in.C.shape() == selection,
        "hidden_attention: B and C must be {}, got {} and {}", selection, in.B.shape(),
        in.C.shape());
  check(in.initial_state == nullptr && in.position == nullptr,
        "hidden_attention: the sequence must begin at its first token and fill its row");
}

}  // namespace

Tensor hidden_attention(const ScanInputs& in, const MatrixPart& part) {
  check_inputs(in);
  const Tensor B = widened(in.B), C = widened(in.C);
  Tensor m, partial;
  const MatrixArgs matrix =
      matrix_args("hidden_attention", part, in.u.dim(1), in.u.dim(2), in.u, m, partial);
  // Rows read no step behind them.
  const Times times(in, matrix.row + matrix.rows, true);
  HiddenAttentionArgs a = times.args;
  a.matrix = matrix;
  a.B = B.ptr();
  a.C = C.ptr();
  FARSIGHT_LAUNCH(hidden_attention, in.u.device(), a);
  return m;
}

Tensor scan_times(const ScanInputs& in) {
  const std::int64_t steps = in.u.dim(0) * in.u.dim(1);
  return Times(in, steps, false).dt.reshape(in.u.shape());
}

namespace cpu {
namespace {

/// Adds x to hi + lo, what hi cannot hold going to lo (Knuth's two-sum).
template <class V>
void add_exactly(V& hi, V& lo, V x) {
  const V sum = hi + x;
  const V of_x = sum - hi;
  lo += (hi - (sum - of_x)) + (x - of_x);
  hi = sum;
}

template <class A>
void times(const HiddenAttentionArgs& a) {
  const auto at = [](const void* tensor) { return static_cast<const A*>(tensor); };
  const auto to = [](void* tensor) { return static_cast<A*>(tensor); };
  parallel_for(lane_blocks<A>(a.D), [&](std::int64_t block) {
    const std::int64_t d = block * kLanes<A>;
    const int lanes = static_cast<int>(std::min<std::int64_t>(kLanes<A>, a.D - d));
    const Lanes<A> bias = load_lanes(at(a.bias) + d, lanes);
    Lanes<A> S = {}, rest = {};
    for (std::int64_t i = d; i < a.matrix.T * a.D; i += a.D) {
      Lanes<A> p = load_lanes(at(a.delta) + i, lanes);
      if (a.gate != nullptr) p *= load_lanes(at(a.gate) + i, lanes);
      const Lanes<A> dt = softplus(p + bias);
      store_lanes(to(a.dt) + i, dt, lanes);
      if (a.S == nullptr) continue;
      add_exactly(S, rest, dt);
      store_lanes(to(a.S) + i, S, lanes);
      store_lanes(to(a.rest) + i, rest, lanes);
    }
  });
}

/// A of channel c, state n: the vectors of channels [c, c + lanes), n by n.
template <class A>
class Rates {
 public:
  explicit Rates(const HiddenAttentionArgs& a) : first_(a.matrix.channel), N_(a.N) {
    const A* A_log = static_cast<const A*>(a.A_log) + first_ * N_;
    rates_.resize(static_cast<std::size_t>(lane_blocks<A>(a.matrix.channels) * N_));
    for (std::int64_t i = 0; i < a.matrix.channels * N_; i++) {
      const std::int64_t c = i / N_, n = i % N_;
      rates_[at(c, n)][c % kLanes<A>] = -std::exp(A_log[i]);
    }
  }
  const Lanes<A>& operator()(std::int64_t c, std::int64_t n) const {
    return rates_[at(c - first_, n)];
  }

 private:
  std::size_t at(std::int64_t c, std::int64_t n) const {
    return static_cast<std::size_t>(c / kLanes<A> * N_ + n);
  }
  std::int64_t first_, N_;
  std::vector<Lanes<A>> rates_;
};

template <class A>
void matrix(const HiddenAttentionArgs& a) {
  const Rates<A> rate(a);
  fill_rows<A>(a.matrix, [&](std::int64_t t, std::int64_t s) {
    const A* C = static_cast<const A*>(a.C) + t * a.N;
    const A* B = static_cast<const A*>(a.B) + s * a.N;
    return channel_mean<A>(a.matrix, [&](std::int64_t c, int lanes) {
      const auto load = [&](const void* from, std::int64_t row) {
        return load_channels<A>(from, row, a.D, c, lanes);
      };
      const Lanes<A> apart = (load(a.S, t) - load(a.S, s)) + (load(a.rest, t) - load(a.rest, s));
      Lanes<A> sum = {};
      for (std::int64_t n = 0; n < a.N; n++) {
        sum += C[n] * B[n] * exp(rate(c, n) * apart);
      }
      return load(a.dt, s) * sum;
    });
  });
}

}  // namespace

void scan_times(const HiddenAttentionArgs& a) {
  a.matrix.type == DType::f64 ? times<double>(a) : times<float>(a);
}
void hidden_attention(const HiddenAttentionArgs& a) {
  a.matrix.type == DType::f64 ? matrix<double>(a) : matrix<float>(a);
}

}  // namespace cpu
}  // namespace farsight
