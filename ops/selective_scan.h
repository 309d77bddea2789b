// The selective scan of Mamba (Gu and Dao, 2023, algorithm 2; the gate: equations 7 and 8 of
// "Revealing and Mitigating the Local Pattern Shortcuts of Mamba"), with everything around it that
// shares its loads:
//
//   p[t] = delta[t] * gate[t] + bias            (gate: global selection, before the bias; optional)
//   dt[t] = softplus(p[t])                      A = -exp(A_log)
//   h[t,n] = exp(dt[t] A[n]) h[t-1,n] + dt[t] B[t,n] u[t]
//   y[t] = ( sum_n C[t,n] h[t,n] + D u[t] ) * silu(z[t])          (z: optional)
//
//   u, delta, gate, z, y: [B, T, channels]  (channels is D in the code's sizes; rows may be
//   strided) B, C: [B, T, N]      A_log: [channels, N] f32     bias, D: [channels] f32
//   initial_state, *last_state: [B, channels, N] f32 (f64 for f64): h before t = 0 and after t =
//   T-1,
//     both with gradients, so a sequence in chunks gives what it gives whole
//   position: [B, T] i32, the index of a token in its own sequence: the state is zero before every
//     position 0, so rows can be packed. Absent: a row is one sequence.
// Any N. States, A and sums are f32 (f64); activations f32, bf16 or f64.
// Gradients, g = dy silu(z) and e[t] = exp(dt[t] A) h[t-1]; lambda is the adjoint of h, backwards:
//   lambda[t] = C[t] g[t] + exp(dt[t+1] A) lambda[t+1]        du = D g + dt sum_n lambda B
//   dC = sum over channels of g h       dB = sum over channels of lambda dt u       dD += sum g u
//   ddt = sum_n lambda (B u + A e)      dA_log += A sum_{b,t} lambda dt e
//   dp = ddt sigmoid(p),  ddelta = dp gate,  dgate = dp delta,  dbias += sum dp
//   dz = dy silu'(z) times y before its factor silu(z)
// Forward keeps the state every kScanChunk (kCudaScanChunk) steps; backward rebuilds the rest.
#pragma once

#include "ops/kernel.h"

namespace farsight {

inline constexpr std::int64_t kScanChunk = 32;
// On CUDA: as many steps as leave shared memory for three blocks of states on a multiprocessor.
inline constexpr std::int64_t kCudaScanChunk = 12;

struct ScanInputs {
  const Tensor &u, &delta, &A_log, &B, &C, &D, &bias;
  const Tensor* z = nullptr;
  const Tensor* gate = nullptr;
  const Tensor* initial_state = nullptr;
  const Tensor* position = nullptr;
};

/// y; *last_state is set when the pointer is given.
Tensor selective_scan(const ScanInputs& in, Tensor* last_state = nullptr);

struct ScanArgs {
  const void *u = nullptr, *delta = nullptr, *gate = nullptr, *z = nullptr;
  const void *B = nullptr, *C = nullptr;
  const void *A_log = nullptr, *D = nullptr, *bias = nullptr, *initial_state = nullptr;
  const std::int32_t* position = nullptr;
  void *y = nullptr, *last_state = nullptr;
  // [batch, chunks, N, channels]: the state before each chunk; on CUDA in the activations' type, and
  // not that before the first.
  void* checkpoints = nullptr;

  const void *dy = nullptr, *dlast_state = nullptr;
  void *du = nullptr, *ddelta = nullptr, *dgate = nullptr, *dz = nullptr, *dB = nullptr;
  void *dC = nullptr, *dA_log = nullptr, *dD = nullptr, *dbias = nullptr, *dinitial = nullptr;
  bool du_add = false, ddelta_add = false, dgate_add = false, dz_add = false, dB_add = false;
  bool dC_add = false, dA_log_add = false, dD_add = false, dbias_add = false, dinitial_add = false;
  void* partial_bc = nullptr;  // [groups, batch, T, 2 N]: dB and dC of a group of channels
  void* partial_param =
      nullptr;  // [shares, N + 2, channels]: dA, dD, dbias of a share of the batch

  std::int64_t batch = 0, T = 0, channels = 0, N = 0, chunks = 0, groups = 0, shares = 0;
  std::int64_t u_stride = 0, delta_stride = 0, gate_stride = 0, z_stride = 0, B_stride = 0,
               C_stride = 0;
  std::int64_t du_stride = 0, ddelta_stride = 0, dgate_stride = 0, dz_stride = 0, dB_stride = 0,
               dC_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(selective_scan_forward, ScanArgs)
FARSIGHT_KERNEL(selective_scan_backward, ScanArgs)
