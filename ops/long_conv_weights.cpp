#include "ops/long_conv_weights.h"

#include <algorithm>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/weight_matrix_rows.h"

namespace farsight {

Tensor long_conv_weights(const Tensor& v, const Tensor& pre, const Tensor& post, const Tensor& k,
                         const Tensor& bias, const MatrixPart& part) {
  check(v.shape().n == 3 && v.dim(0) == 1, "long_conv_weights: v must be [1, T, D], got {}",
        v.shape());
  check(pre.shape() == v.shape() && post.shape() == v.shape(),
        "long_conv_weights: pre and post must be {} as v is, got {} and {}", v.shape(), pre.shape(),
        post.shape());
  check(k.shape().n == 2 && k.dim(1) == v.dim(2) && k.dense() && bias.shape() == Shape{v.dim(2)},
        "long_conv_weights: k must be dense [K, D={}] and bias [D], got {} and {}", v.dim(2),
        k.shape(), bias.shape());
  const DType wide = accumulator_of(v.dtype());
  const Tensor before = pre.to(wide), after = post.to(wide);
  Tensor m, partial;
  const MatrixArgs matrix =
      matrix_args("long_conv_weights", part, v.dim(1), v.dim(2), before, m, partial);
  const LongConvWeightsArgs a{.matrix = matrix,
                              .pre = before.ptr(),
                              .post = after.ptr(),
                              .k = k.ptr(),
                              .bias = bias.ptr(),
                              .D = v.dim(2),
                              .K = k.dim(0)};
  FARSIGHT_LAUNCH(long_conv_weights, v.device(), a);
  return m;
}

namespace cpu {
namespace {

template <class A>
void weights(const LongConvWeightsArgs& a) {
  fill_rows<A>(a.matrix, [&](std::int64_t t, std::int64_t s) {
    return channel_mean<A>(a.matrix, [&](std::int64_t c, int lanes) {
      const auto load = [&](const void* from, std::int64_t row) {
        return load_channels<A>(from, row, a.D, c, lanes);
      };
      Lanes<A> kernel = {};
      if (t - s < a.K) kernel = load(a.k, t - s);
      if (s == t) kernel += load(a.bias, 0);
      return load(a.post, t) * kernel * load(a.pre, s);
    });
  });
}

}  // namespace

void long_conv_weights(const LongConvWeightsArgs& a) {
  a.matrix.type == DType::f64 ? weights<double>(a) : weights<float>(a);
}

}  // namespace cpu
}  // namespace farsight
