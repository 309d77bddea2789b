// Rows of a normalisation in registers: a warp has a row, lane l its vectors l, l + 32, ... of V
// channels. Statistics need no block, and every load of a row is under way before the first is used.
#pragma once

#include "cuda/device.cuh"

namespace farsight::cuda {

inline constexpr int kNormThreads = 256;
inline constexpr int kNormWarps = kNormThreads / 32;

/// Calls body(i, d) for the vectors of this lane: channels [d, d + V) are its i-th.
template <int V, int kVectors, class Body>
__device__ inline void for_each_vector(std::int64_t D, const Body& body) {
#pragma unroll
  for (int i = 0; i < kVectors; i++) {
    const int d = (i * 32 + int(threadIdx.x % 32)) * V;
    if (d < D) body(i, d);
  }
}

/// Adds up what the warps of a block have of every channel, in order, into to[D]. For all threads of
/// the block; overwrites `shares`.
template <int V, int kVectors>
__device__ inline void sum_warps(const float (&share)[kVectors][V], std::int64_t D,
                                 float (&shares)[kNormWarps][32 * V], float* to) {
  static_assert(V <= kNormWarps);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int i = 0; i < kVectors; i++) {  // one vector of each lane at a time
    __syncthreads();
#pragma unroll
    for (int k = 0; k < V; k++) {
      shares[warp][k * 32 + lane] = share[i][k];
    }
    __syncthreads();
    if (threadIdx.x < 32 * V) {
      float total = 0;
#pragma unroll
      for (int from = 0; from < kNormWarps; from++) {
        total += shares[from][threadIdx.x];
      }
      const std::int64_t d = (i * 32 + lane) * V + warp;  // threadIdx.x = k * 32 + lane
      if (d < D) to[d] = total;
    }
  }
}

/// Calls f.template operator()<V, kVectors>() with the least that holds a row; <1, 0>: none does.
template <class F>
void with_row(std::int64_t D, bool together, F f) {
  if (together && D <= 64 && D % 2 == 0) {
    f.template operator()<2, 1>();
  } else if (together && D <= 256) {
    f.template operator()<8, 1>();
  } else if (together && D <= 512) {
    f.template operator()<8, 2>();
  } else if (together && D <= 768) {
    f.template operator()<8, 3>();
  } else if (together && D <= 1024) {
    f.template operator()<8, 4>();
  } else {
    f.template operator()<1, 0>();
  }
}

}  // namespace farsight::cuda
