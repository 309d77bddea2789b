// The WKV operator of RWKV-4 (Peng et al., 2023, section 3.1): an average of the values so far,
// weighted by e^key and by how long ago they were, with a gate.
//
//   w = -exp(decay)      wkv[t] = N[t] / Q[t]      y[t] = sigmoid(r[t]) wkv[t]       (r: optional)
//   N[t] = sum_{i<t} e^{(t-1-i) w + k[i]} v[i] + e^{first + k[t]} v[t]      Q[t]: the same without v
//
//   k, v, r, y: [B, T, D] activations (rows of k, v and r may be strided)
//   decay, first: [D] f32 (f64)
//   initial_state, *last_state: [B, 3, D] f32 (f64): a, b and o, where the sums over the steps so far
//     are e^o a and e^o b and o is the largest exponent among them; kWkvNothing in o, and zeros,
//     before the first step. For inference: no gradient goes through them.
//   position: [B, T] i32, the index of a token in its own sequence: the sums are empty before every
//     position 0, so rows can be packed. Absent: a row is one sequence.
// Sums, exponents and their maxima are f32 (f64); no exponential exceeds e^0 but that of `first`.
// Gradients, G = dwkv / Q; P and R, the adjoints of the two sums, are 0 behind the last step:
//   P[t-1] = e^w P[t] + G[t]                        R[t-1] = e^w R[t] - G[t] wkv[t]
//   dv[t] = G[t] e^{first + k[t]} + e^{k[t]} P[t]
//   dk[t] = G[t] e^{first + k[t]} (v[t] - wkv[t]) + e^{k[t]} (P[t] v[t] + R[t])
//   dfirst += sum of the first term of dk
//   ddecay += w sum_{b,t} G[t] (dN[t]/dw - wkv[t] dQ[t]/dw)
// Forward keeps the state every kWkvChunk steps; backward rebuilds the rest.
#pragma once

#include "ops/kernel.h"

namespace farsight {

inline constexpr std::int64_t kWkvChunk = 32;
inline constexpr float kWkvNothing = -1e38f;

struct WkvInputs {
  const Tensor &k, &v, &decay, &first;
  const Tensor* r = nullptr;
  const Tensor* initial_state = nullptr;
  const Tensor* position = nullptr;
};

/// y; *last_state is set when the pointer is given.
Tensor wkv(const WkvInputs& in, Tensor* last_state = nullptr);

struct WkvArgs {
  const void *k = nullptr, *v = nullptr, *r = nullptr, *decay = nullptr, *first = nullptr;
  const void* initial_state = nullptr;
  const std::int32_t* position = nullptr;
  void *y = nullptr, *last_state = nullptr;
  // [B, chunks - 1, 3, D]: the state before every chunk but the first; on CUDA o counts powers of 2.
  void* checkpoints = nullptr;

  const void* dy = nullptr;
  void *dk = nullptr, *dv = nullptr, *dr = nullptr, *ddecay = nullptr, *dfirst = nullptr;
  bool dk_add = false, dv_add = false, dr_add = false, ddecay_add = false, dfirst_add = false;
  void* partial = nullptr;  // [shares, 2, D]: dw and dfirst of a share of the sequences

  std::int64_t B = 0, T = 0, D = 0, chunks = 0, shares = 0;
  std::int64_t k_stride = 0, v_stride = 0, r_stride = 0;
  std::int64_t dk_stride = 0, dv_stride = 0, dr_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(wkv_forward, WkvArgs)
FARSIGHT_KERNEL(wkv_backward, WkvArgs)
