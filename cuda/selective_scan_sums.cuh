// Sums over channels in the backward of the scan: dC[t, n] = sum over d of dy[t, d] h[t, d, n], and dB
// from dt u and lambda. Both are matrix products over the channels of states that lie in shared memory.
//
// In bf16 the tensor cores form them: M = 16 states, K = 16 channels, N = 8 steps. A step's product
// has one column of weights that is not zero, so that eight steps share an accumulator. In f32, and
// with more than 64 states, plain loops form them.
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

template <class T, int kLanes>
inline constexpr bool kOnTensorCores = sizeof(T) == 2 && kLanes <= 4;

/// Four 8 x 8 matrices of two-byte elements, transposed; lane l gives the address of row l % 8 of
/// matrix l / 8.
__device__ inline void load_transposed(unsigned (&to)[4], const void* row) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(address)
               : "memory");
}
/// sum += a b: [16 x 8] += [16 x 16] [16 x 8].
__device__ inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0,
                                    unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// A warp's sums of a chunk: [part of the states][8 steps of kSteps][fragment of 16 states x 8 steps].
template <int kLanes>
struct WarpSums {
  float values[kLanes][2][4] = {};
};

/// Over the warp's channels of weight[step][channel] states[slot][channel][n], where the slot is the
/// step or, kBefore, slot_before. The warp's stores must be visible to it.
template <bool kBefore, class T, int kLanes>
__device__ inline void sum_warp(WarpSums<kLanes>& sums, T (*states)[32 * kScanStates],
                                const T* weights, int count) {
  using Block = ScanBlock<T, kLanes>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int column = lane / 4, pair = lane % 4 * 2;  // of the weights' fragment
  // Matrices 0 and 1 are the two halves of the states of channels 0-7, 2 and 3 those of 8-15.
  T* const rows = piece_of(states[0], lane / 16 * 8 + lane % 8, lane / 8 % 2);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    // Weights of step 8 half + column: of the warp's channels pair, pair + 1 (+ 8, 16, 24).
    unsigned weight[Block::kWarpChannels / 8];
    const T* from = weights + min(8 * half + column, kSteps - 1) * Block::kRow + pair;
#pragma unroll
    for (int i = 0; i < Block::kWarpChannels / 8; i++) {
      weight[i] = *reinterpret_cast<const unsigned*>(from + 8 * i);
    }
    const int end = min(count, 8 * half + 8);
#pragma unroll 2
    for (int t = 8 * half; t < end; t++) {
      const int slot = kBefore ? slot_before(t, count) : t;
      unsigned masked[Block::kWarpChannels / 8];
#pragma unroll
      for (int i = 0; i < Block::kWarpChannels / 8; i++) {
        masked[i] = t % 8 == column ? weight[i] : 0;
      }
#pragma unroll
      for (int tile = 0; tile < 2; tile++) {  // lanes 16 tile ... 16 tile + 15
        unsigned h[4];
        load_transposed(h, rows + slot * 32 * kScanStates + tile * 16 * kScanStates);
        if constexpr (kLanes == 1) {
          multiply_add(sums.values[0][half], h, masked[2 * tile], masked[2 * tile + 1]);
        } else if constexpr (kLanes == 2) {
          multiply_add(sums.values[tile][half], h, masked[0], masked[1]);
        } else {
          multiply_add(sums.values[2 * tile][half], h, masked[0], 0);
          multiply_add(sums.values[2 * tile + 1][half], h, 0, masked[0]);
        }
      }
    }
  }
}

/// The warp's sums to shared memory [16 steps][kStride], and the four warps' to `to` [step][2 N].
template <int kLanes>
struct SumsLayout {
  static constexpr int kN = kScanStates * kLanes;
  static constexpr int kStride = kN + 4;  // fragments spread over the banks
};
template <int kLanes>
__device__ inline void spill_sums(float* to, const WarpSums<kLanes>& sums) {
  using Layout = SumsLayout<kLanes>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int state = lane / 4, step = lane % 4 * 2;
#pragma unroll
  for (int part = 0; part < kLanes; part++) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int t = i / 4 * 8 + step + i % 2, n = part * kScanStates + state + i / 2 % 2 * 8;
      to[t * Layout::kStride + n] = sums.values[part][i / 4][i % 4];
    }
  }
}

/// Without tensor cores: to[step][n] over the block's channels; all of its threads call.
template <bool kBefore, class T, int kLanes>
__device__ inline void sum_block(const ScanArgs& a, float* to, BackwardShared<T, kLanes>& shared,
                                 const T* weights, int count) {
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
      sum = fmaf(to_float(weights[t * Block::kRow + c]), to_float(state[n % kVector<T>]), sum);
    }
    to[t * 2 * a.N + n] = sum;
  }
}

}  // namespace farsight::cuda
