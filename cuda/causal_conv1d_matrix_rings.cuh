// The rings in shared memory of causal_conv1d_matrix_backward.cu: the tiles of x, of x one step late, and of
// c, which takes the place of dy.
#pragma once

#include "cuda/causal_conv1d_matrix.cuh"

namespace farsight::cuda::conv1d_rings {

inline constexpr int kPieces = 2;                       // of eight channels
inline constexpr int kChannels = 8 * kPieces;           // of a block
inline constexpr int kEach = kChannels / kMatrixWarps;  // of a warp
inline constexpr int kGap = 7;
inline constexpr int kAhead = 2;       // tiles on their way
inline constexpr int kOddSwizzle = 2;  // the late copy of x in other banks
static_assert(2 * Passage<kPieces>::kThreads == kMatrixThreads);

template <int kReach>
struct Shared {
  uint4 ahead[kAhead][2][kMatrixThreads];
  alignas(128) char x[kChannels][kRingBytes<kReach>];
  char late_x[kChannels][kRingBytes<kReach>];  // slot s has x of s - 1
  char c[kChannels][kRingBytes<kReach>];
  char out[kChannels][kTileBytes];
  uint4 zeros;
  int starts[kRing<kReach> * kTileBlocks];
  unsigned short taps[kChannels * kTapRow<kReach>];
};

/// A tile of this thread's piece, x or dy, into the rings.
template <int kReach>
__device__ inline void store_piece(Shared<kReach>& shared, const Passage<kPieces>& passage,
                                   const uint4 (&rows)[2], bool x, int tile) {
  unsigned words[8];
  words_of_channels(rows, words);
  const int channel = passage.piece * 8, at = passage.at<kRing<kReach>>(tile);
  if (!x) {
#pragma unroll
    for (int k = 0; k < 8; k++) {
      *reinterpret_cast<unsigned*>(shared.c[channel + k] + at) = words[k];
    }
    return;
  }
  Passage<kPieces> late = passage;
  late.swizzle ^= kOddSwizzle;
  const int same = late.at<kRing<kReach>>(tile);
  late.slot += 2;
  const int next = late.at<kRing<kReach>>(tile);
#pragma unroll
  for (int k = 0; k < 8; k++) {
    *reinterpret_cast<unsigned*>(shared.x[channel + k] + at) = words[k];
    char* ring = shared.late_x[channel + k];
    *reinterpret_cast<unsigned short*>(ring + same + 2) = static_cast<unsigned short>(words[k]);
    *reinterpret_cast<unsigned short*>(ring + next) = static_cast<unsigned short>(words[k] >> 16);
  }
}

/// Both halves of a word in the other order.
__device__ inline unsigned exchanged(unsigned word) {
  return __byte_perm(word, word, 0x1032);
}

/// c = dy silu'(m) in the place of dy, every half block backwards; dbias += c.
template <int kReach>
__device__ inline void finish_c(Shared<kReach>& shared, int own, int tile, int swizzle, bool silu,
                                const float (&m)[kEach][4], const float (&bias)[kEach],
                                float (&dbias)[kEach]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int k = 0; k < kEach; k++) {
    unsigned dy[2];
    load_transposed(
        dy, shared.c[own + k] +
                half_block_at<kRing<kReach>>(tile * kTileBlocks + lane % 8, lane / 8 % 2, swizzle));
    __syncwarp();  // c goes where other lanes have read
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float c[2] = {low_of(dy[half]), high_of(dy[half])};
      if (silu) {
        c[0] *= silu_derivative(m[k][2 * half] + bias[k]);
        c[1] *= silu_derivative(m[k][2 * half + 1] + bias[k]);
      }
      dbias[k] += c[0] + c[1];
      char* to = shared.c[own + k] +
                 half_block_at<kRing<kReach>>(tile * kTileBlocks + lane / 4, half, swizzle);
      *reinterpret_cast<unsigned*>(to + 12 - lane % 4 * 4) =
          exchanged(transposed(pack(c[0], c[1])));
    }
  }
}

}  // namespace farsight::cuda::conv1d_rings
