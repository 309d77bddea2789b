// Causal softmax attention with partial rotary positions (Vaswani et al., 2017; Su et al., 2021),
// on the fused projection of GPT-NeoX (Black et al., 2022), head h of which is q | k | v.
//
//   q'_t, k'_t: dims (i, i + rotary/2), i < rotary/2, turned by the angle p_t base^(-2i/rotary);
//     p_t is the position of token t in its sequence; the other dims as they are
//   P[t, j] = softmax over j of q'_t k'_j / sqrt(hd),  j <= t and in the sequence of t
//   y_t = sum_j P[t, j] v_j
//
//   qkv: [B, T, H 3 hd], rows may be strided    y: [B, T, H hd]    hd <= kAttentionMaxHead
//   position: [B, T] i32, the index of a token in its own sequence, for packed rows. Absent: a row
//     is one sequence.
// Angles, scores, softmax and sums in f32 (f64). Gradients, with D = rowsum(dy y):
//   dv = P^T dy;  dS = P (dy v^T - D);  dq' = dS k' / sqrt(hd);  dk' = dS^T q' / sqrt(hd);
//   dq, dk: turned back. P is computed again from the log-sum-exp of each row.
#pragma once

#include "ops/kernel.h"

namespace farsight {

struct AttentionOptions {
  std::int64_t heads = 1;
  std::int64_t rotary = 0;  ///< leading dims of q and k that turn, even; 0: none
  double base = 10000;
  const Tensor* position = nullptr;
};

inline constexpr std::int64_t kAttentionMaxHead = 128;
/// The widest head whose products the CUDA kernels do on tensor cores, in bf16.
inline constexpr std::int64_t kAttentionMatrixHead = 64;

Tensor attention(const Tensor& qkv, const AttentionOptions& options);

/// The same for T more tokens of sequences of which `length` tokens are in `cache` [B, C, H 2 hd]:
/// per head k' | v, of the type of qkv. Writes rows length ... length + T - 1 of it, which must be
/// there (length + T <= C). No gradient.
Tensor attention_step(const Tensor& qkv, const Tensor& cache, std::int64_t length,
                      const AttentionOptions& options);

struct AttentionArgs {
  const void* qkv = nullptr;
  const std::int32_t* position = nullptr;
  void *y = nullptr, *lse = nullptr;  // lse: [B, H, T]
  void* turns = nullptr;              // [T, rotary / 2, 2]: cos and sin of position first + row
  void* turned = nullptr;             // CUDA: [B, T, H, 2, turned_dims]: the first dims of q', k'
  std::int64_t turned_dims = 0;       // rotary, rounded up to a vector of eight; 0: not kept
  void* cache = nullptr;              // attention_step: [B, capacity, H 2 hd]
  const void* dy = nullptr;
  void *dqkv = nullptr, *delta = nullptr;  // delta: rowsum(dy y), [B, H, T]
  bool dqkv_add = false;
  std::int64_t B = 0, T = 0, H = 0, head = 0, rotary = 0, first = 0, capacity = 0;
  std::int64_t qkv_stride = 0, dqkv_stride = 0, dy_stride = 0;  // elements between tokens
  double base = 10000;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(attention_forward, AttentionArgs)
FARSIGHT_KERNEL(attention_backward, AttentionArgs)
FARSIGHT_KERNEL(attention_step, AttentionArgs)
