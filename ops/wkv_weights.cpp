#include "ops/wkv_weights.h"

#include <cmath>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/weight_matrix_rows.h"

namespace farsight {

Tensor wkv_weights(const WkvInputs& in, const MatrixPart& part) {
  check(in.k.shape().n == 3 && in.k.dim(0) == 1, "wkv_weights: k must be [1, T, D], got {}",
        in.k.shape());
  const std::int64_t T = in.k.dim(1), D = in.k.dim(2);
  check(in.decay.shape() == Shape{D} && in.first.shape() == Shape{D},
        "wkv_weights: decay and first must be [D={}], got {} and {}", D, in.decay.shape(),
        in.first.shape());
  check(in.initial_state == nullptr && in.position == nullptr,
        "wkv_weights: the sequence must begin at its first token and fill its row");
  const Tensor k = in.k.to(accumulator_of(in.k.dtype()));
  Tensor m, partial;
  const MatrixArgs matrix = matrix_args("wkv_weights", part, T, D, k, m, partial);
  const Tensor log_q =
      Tensor::empty({matrix.row + matrix.rows, D}, k.dtype(), k.device(), "wkv_weights.log_q");
  const WkvWeightsArgs a{.matrix = matrix,
                         .k = k.ptr(),
                         .decay = in.decay.ptr(),
                         .first = in.first.ptr(),
                         .log_q = log_q.ptr(),
                         .D = D};
  FARSIGHT_LAUNCH(wkv_weights, k.device(), a);
  return m;
}

namespace cpu {
namespace {

/// log Q of channel d: the sum over the past is e^most sum, as in ops/wkv.h. In f64, because a sum that
/// fades by nearly the same factor at every step would be off by as many roundings of that factor.
template <class A>
void normalise(const WkvWeightsArgs& a, std::int64_t d) {
  const double w = -std::exp(static_cast<double>(static_cast<const A*>(a.decay)[d]));
  const double first = static_cast<double>(static_cast<const A*>(a.first)[d]);
  double most = static_cast<double>(kWkvNothing), sum = 0;
  for (std::int64_t t = 0; t < a.matrix.row + a.matrix.rows; t++) {
    const double k = static_cast<double>(static_cast<const A*>(a.k)[t * a.D + d]);
    const double all = std::max(most, first + k);
    static_cast<A*>(a.log_q)[t * a.D + d] =
        static_cast<A>(all + std::log(std::exp(most - all) * sum + std::exp(first + k - all)));
    const double next = std::max(most + w, k);
    sum = std::exp(most + w - next) * sum + std::exp(k - next);
    most = next;
  }
}

template <class A>
void weights(const WkvWeightsArgs& a) {
  parallel_blocks(a.D, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t d = begin; d < end; d++) {
      normalise<A>(a, d);
    }
  });
  fill_rows<A>(a.matrix, [&](std::int64_t t, std::int64_t s) {
    return channel_mean<A>(a.matrix, [&](std::int64_t c, int lanes) {
      const auto load = [&](const void* from, std::int64_t row) {
        return load_channels<A>(from, row, a.D, c, lanes);
      };
      const Lanes<A> aged =
          s < t ? static_cast<A>(t - 1 - s) * -exp(load(a.decay, 0)) : load(a.first, 0);
      return exp(aged + (load(a.k, s) - load(a.log_q, t)));
    });
  });
}

}  // namespace

void wkv_weights(const WkvWeightsArgs& a) {
  a.matrix.type == DType::f64 ? weights<double>(a) : weights<float>(a);
}

}  // namespace cpu
}  // namespace farsight
