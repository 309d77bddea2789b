// The matrices of the selective scan: the hidden attention of Mamba (Ali et al., 2024; equation 5
// of "Revealing and Mitigating the Local Pattern Shortcuts of Mamba"). Unrolling
// h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] u[t], y[t] = C[t] h[t] from h = 0 gives, for channel c,
//
//   W_c[t,s] = sum_n C[t,n] ( prod_{k=s+1..t} exp(dt[k,c] A[c,n]) ) dt[s,c] B[s,n]
//            = dt[s,c] sum_n C[t,n] B[s,n] exp(A[c,n] (S[t,c] - S[s,c])),    S[t] = sum_{k<=t} dt[k]
//
// and x = u. dt, A, B, C as in ops/selective_scan.h: whatever gate acts on dt is in it. The skip D u
// and the factor silu(z) are outside; so is what another gate makes of u, which is in u.
//
// S grows with t while its differences stay small: it is kept as a sum of two numbers, S and the rest
// that S cannot hold, so that a difference is as exact as one number whatever t is.
#pragma once

#include "ops/selective_scan.h"
#include "ops/weight_matrix.h"

namespace farsight {

Tensor hidden_attention(const ScanInputs& in, const MatrixPart& part = {});

/// dt of every step, softplus included: [B, T, channels], f32 (f64).
Tensor scan_times(const ScanInputs& in);

struct HiddenAttentionArgs {
  MatrixArgs matrix;
  // All dense, in matrix.type.
  const void *delta = nullptr, *gate = nullptr, *bias = nullptr;  // [T, D], [T, D] or null, [D]
  const void* A_log = nullptr;                                    // [D, N]
  const void *B = nullptr, *C = nullptr;                          // [T, N]
  void *dt = nullptr, *S = nullptr, *rest = nullptr;  // [T, D]; S, rest: null if unwanted
  std::int64_t D = 0, N = 0;
};

}  // namespace farsight

FARSIGHT_KERNEL(scan_times, HiddenAttentionArgs)
FARSIGHT_KERNEL(hidden_attention, HiddenAttentionArgs)
