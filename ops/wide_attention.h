// Causal softmax attention of one head of any width, by matrix products over whole sequences: for
// where the head is as wide as the layer, which ops/attention.h does not take.
//
//   P[t, j] = softmax over j of q_t k_j / sqrt(D),  j <= S - T + t and in the sequence of t
//   y_t = sum_j P[t, j] v_j
//   q, y: [B, T, D]    k, v: [B, S, D], S >= T: q's tokens are the last of k's    rows may be strided
//   position: [B, T] i32, the index of a token in its own sequence, for packed rows; then S = T.
// Scores and softmax in f32 (f64), P kept in the type of q: [B, T, S]. Gradients:
//   dv = P^T dy;  dS = P (dy v^T - rowsum(P (dy v^T))) / sqrt(D);  dq = dS k;  dk = dS^T q.
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor wide_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                      const Tensor* position = nullptr);

struct WideAttentionArgs {
  const void *q = nullptr, *k = nullptr, *v = nullptr, *dy = nullptr;
  const std::int32_t* position = nullptr;
  void *y = nullptr, *p = nullptr;                   // p: [B, T, S]
  void* scores = nullptr;                            // [B, T, S] f32 (f64): workspace
  void* ds = nullptr;                                // [B, T, S]: workspace of the backward
  void *dq = nullptr, *dk = nullptr, *dv = nullptr;  // a null gradient is not wanted
  bool dq_add = false, dk_add = false, dv_add = false;
  std::int64_t B = 0, T = 0, S = 0, D = 0;
  // Elements between tokens; sequences follow one another.
  std::int64_t q_stride = 0, k_stride = 0, v_stride = 0, dy_stride = 0;
  std::int64_t dq_stride = 0, dk_stride = 0, dv_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(wide_attention_forward, WideAttentionArgs)
FARSIGHT_KERNEL(wide_attention_backward, WideAttentionArgs)
