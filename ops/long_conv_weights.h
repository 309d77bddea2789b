// The matrices of Hyena's gated long convolution (ops/long_conv.h), gates included, as its authors
// write it (Poli et al., 2023, section 3.2: H = diag(post) S_k diag(pre)):
//
//   W_c[t,s] = post[t,c] ( k[t-s,c] + [s = t] bias_c ) pre[s,c]         k[l] = 0 for l >= K
//
// and x = v, so that y = W v is all that the operation computes.
#pragma once

#include "ops/long_conv.h"
#include "ops/weight_matrix.h"

namespace farsight {

Tensor long_conv_weights(const Tensor& v, const Tensor& pre, const Tensor& post, const Tensor& k,
                         const Tensor& bias, const MatrixPart& part = {});

struct LongConvWeightsArgs {
  MatrixArgs matrix;
  // All dense, in matrix.type.
  const void *pre = nullptr, *post = nullptr;  // [T, D]
  const void *k = nullptr, *bias = nullptr;    // [K, D], [D]
  std::int64_t D = 0, K = 0;
};

}  // namespace farsight

FARSIGHT_KERNEL(long_conv_weights, LongConvWeightsArgs)
