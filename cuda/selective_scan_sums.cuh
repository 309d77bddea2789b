// States of a chunk in shared memory, as the backward of the scan for any type and sizes keeps them, and
// the sums over channels: dC[t, n] = sum over d of dy[t, d] h[t, d, n], and dB from dt u and lambda.
#pragma once

#include "cuda/selective_scan.cuh"

namespace farsight::cuda {

template <class T, int kLanes>
struct BackwardShared {
  using Block = ScanBlock<T, kLanes>;
  // h after a step; then h before it (see slot_before), and lambda where that was. A warp's states of
  // a step: [32 lanes][16 states], the 16-byte pieces of a lane permuted so that neither rows nor
  // columns collide.
  alignas(16) T states[kScanThreads / 32][kSteps][32 * kScanStates];
  alignas(16) T u[Block::kStaged];
  alignas(16) T delta[Block::kStaged];
  alignas(16) T z[Block::kStaged];   // after the rebuilding sweep: dt u
  alignas(16) T dy[Block::kStaged];  // after the rebuilding sweep: dy silu(z)
  float dt[kSteps][kScanThreads];
  alignas(16) float selection[Block::kSelection];  // [step][B, C][kN]
  int position[kSteps];
  alignas(16) T gate[Block::kStaged];  // last: left out of the allocation when there is no gate
};

// ---- states in shared memory ---------------------------------------------------------------------

template <class T>
inline constexpr int kPieces = kScanStates / kVector<T>;  // of 16 bytes

/// Piece `piece` of a lane's states, given the warp's states of a step.
template <class T>
__device__ inline T* piece_of(T* states, int lane, int piece) {
  const int place = piece ^ (lane / (8 / kPieces<T>) % kPieces<T>);
  return states + lane * kScanStates + place * kVector<T>;
}

__device__ inline void keep(float* to, const float* x) {
  *reinterpret_cast<float4*>(to) = make_float4(x[0], x[1], x[2], x[3]);
}
__device__ inline void keep(bf16* to, const float* x) {
  const auto pair = [&](int i) {  // one instruction for two elements
    unsigned both;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(x[i + 1]), "f"(x[i]));
    return both;
  };
  *reinterpret_cast<uint4*>(to) = make_uint4(pair(0), pair(2), pair(4), pair(6));
}
template <class T>
__device__ inline void keep_states(T* states, int lane, const float (&h)[kScanStates]) {
#pragma unroll
  for (int piece = 0; piece < kPieces<T>; piece++) {
    keep(piece_of(states, lane, piece), h + piece * kVector<T>);
  }
}

/// Where the state before a step is, which is that after the step before; the state before the chunk
/// takes the place of the one after the last step, once that has been summed.
__device__ inline int slot_before(int step, int count) {
  return step > 0 ? step - 1 : count - 1;
}

// ---- sums over the channels ------------------------------------------------------------------------

/// to[step][n] over the block's channels of weights[step][channel] states[slot][channel][n], added to
/// what is there or not; the slot is the step or, kBefore, slot_before. All threads call.
template <bool kBefore, class T, int kLanes>
__device__ inline void sum_channels(const ScanArgs& a, float* to, BackwardShared<T, kLanes>& shared,
                                    const T* weights, int count, bool add) {
  using Block = ScanBlock<T, kLanes>;
  for (int i = static_cast<int>(threadIdx.x); i < count * Block::kN; i += kScanThreads) {
    const int t = i / Block::kN, n = i % Block::kN;
    if (n >= a.N) continue;
    const int slot = kBefore ? slot_before(t, count) : t;
    const int part = n / kScanStates, piece = n % kScanStates / kVector<T>;
    float sum = 0;
#pragma unroll 4
    for (int c = 0; c < Block::kChannels; c++) {
      const int lane = part * Block::kWarpChannels + c % Block::kWarpChannels;
      const T* state = piece_of(shared.states[c / Block::kWarpChannels][slot], lane, piece);
      sum = fmaf(to_float(weights[t * Block::kChannels + c]), to_float(state[n % kVector<T>]), sum);
    }
    put(to + t * 2 * a.N + n, sum, add);
  }
}

}  // namespace farsight::cuda
