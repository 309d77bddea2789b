// The matrices of WKV (ops/wkv.h): how much of each value an average holds. With w = -exp(decay),
//
//   W_c[t,s] = exp( (t-1-s) w_c + k[s,c] ) / Q[t,c]      s < t
//   W_c[t,t] = exp( first_c + k[t,c] ) / Q[t,c]          Q: the sum over s of what is above the lines
//
// and x = v: rows of W sum to 1, and nothing in them is negative. The gate sigmoid(r) is outside.
#pragma once

#include "ops/weight_matrix.h"
#include "ops/wkv.h"

namespace farsight {

Tensor wkv_weights(const WkvInputs& in, const MatrixPart& part = {});

struct WkvWeightsArgs {
  MatrixArgs matrix;
  // All dense, in matrix.type.
  const void *k = nullptr, *decay = nullptr, *first = nullptr;  // [T, D], [D], [D]
  void* log_q = nullptr;  // [row + rows, D]: log Q; CUDA: log2 Q
  std::int64_t D = 0;
};

}  // namespace farsight

FARSIGHT_KERNEL(wkv_weights, WkvWeightsArgs)
