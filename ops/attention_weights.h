// The matrices of causal softmax attention (ops/attention.h), one a head:
//
//   W_h[t,s] = softmax over s <= t of q'_t k'_s / sqrt(hd) = exp( q'_t k'_s / sqrt(hd) - lse_h[t] )
//
// and x = the head's v. The "channels" of a MatrixPart are heads. The log-sum-exp of a row is the
// one that attention computes for its backward.
#pragma once

#include "ops/attention.h"
#include "ops/weight_matrix.h"

namespace farsight {

Tensor attention_weights(const Tensor& qkv, const AttentionOptions& options,
                         const MatrixPart& part = {});

struct AttentionWeightsArgs {
  MatrixArgs matrix;
  // All dense, in matrix.type.
  const void* qkv = nullptr;    // [T, H 3 hd]
  const void* turns = nullptr;  // [T, rotary / 2, 2]
  const void* lse = nullptr;    // [H, T]
  std::int64_t H = 0, head = 0, rotary = 0;
};

}  // namespace farsight

FARSIGHT_KERNEL(attention_weights, AttentionWeightsArgs)
