// What the tensor core kernels of the long convolution share (causal_conv1d_matrix.cu, forward;
// causal_conv1d_matrix_backward.cu): the passage from global memory, [time][channel], to shared memory,
// [channel][time], and the product of a row with its Toeplitz matrix there.
//
// A causal convolution by blocks of time (causal_conv1d_rows.cuh) is out_b = sum_i W_i in_{b-i},
// W_i[r, c] = w[16 i + r - c]: for every channel a product with the eight blocks of a tile side by
// side. For K <= 128 a warp keeps the fragments of W_0..W_8, 36 registers a channel.
#pragma once

#include "cuda/causal_conv1d_rows.cuh"

namespace farsight::cuda {

inline constexpr int kMatrixThreads = 256;
inline constexpr int kMatrixWarps = kMatrixThreads / 32;
inline constexpr int kTapsAround = 16;  // zeros before and after the taps

// ---- shared memory ------------------------------------------------------------------------------------

/// Tiles of a channel that are kept: kReach before the present one, and a power of two.
template <int kReach>
inline constexpr int kRing = kReach == 1 ? 2 : 8;
template <int kReach>
inline constexpr int kRingBytes = kRing<kReach>* kTileBytes;

/// Where half a block (eight slots, 16 bytes) is in a channel's ring of kTiles tiles. First and second halves lie
/// apart and the channels of a thread's piece in an order of their own, which keeps all accesses to
/// shared memory free of bank conflicts, or nearly.
template <int kTiles>
__device__ inline int half_block_at(int block, int half, int swizzle) {
  constexpr int kBlocks = kTiles * kTileBlocks;
  return ((block * 16) & (kBlocks * 16 - 16)) ^ (half * (kBlocks * 16 + 64) ^ swizzle * 16);
}

/// What a thread passes between global memory and shared memory: eight channels of two slots.
template <int kPieces>
struct Passage {
  static constexpr int kThreads = kTileSlots / 2 * kPieces;  // that it takes for a tile
  int piece, slot;                                           // of the tile
  int swizzle;

  __device__ explicit Passage(int thread) {
    piece = thread % kPieces;
    const int pair = thread / kPieces % 4, block = thread / kPieces / 4 % 8;
    slot = block * kBlock + thread / kPieces / 32 * 8 + pair * 2;
    swizzle = piece * (8 / kPieces);
  }
  /// Of the pair in the ring of channel 0 of the piece.
  template <int kTiles>
  __device__ int at(int tile) const {
    return half_block_at<kTiles>(tile * kTileBlocks + slot / kBlock, slot / 8 % 2, swizzle) +
           slot % 8 * 2;
  }
};

// ---- the product --------------------------------------------------------------------------------------

/// Taps in shared memory, bf16, [channel][kTapsAround + 128 kReach + kTapsAround].
template <int kReach>
inline constexpr int kTapRow = 2 * kTapsAround + kTileSlots* kReach;

template <int kReach>
__device__ inline void load_taps(unsigned short* taps, const Conv1dArgs& a, int channel,
                                 int channels) {
  for (int at = threadIdx.x; at < channels * kTapRow<kReach>; at += kMatrixThreads) {
    const int i = at % kTapRow<kReach> - kTapsAround;
    const std::int64_t d = channel + at / kTapRow<kReach>;
    const bool there = i >= 0 && i < a.K && d < a.D;
    taps[at] =
        from_float<bf16>(there ? static_cast<const float*>(a.w)[d * a.K + a.K - 1 - i] : 0.0f).bits;
  }
}

/// An entry of the fragments of W_i: lane (g, q) has tap 8 j + g - 2 q and the one before.
template <class Tap>
__device__ inline unsigned fragment_entry(const Tap* taps, int j) {
  const int lane = threadIdx.x % 32;
  const Tap* tap = taps + kTapsAround + 8 * j + lane / 4 - 2 * (lane % 4);
  return unsigned(tap[0]) | unsigned(tap[-1]) << 16;
}

/// W_0, W_1, ... of kEach channels of a warp: kept where they are few, else read when needed.
template <int kReach, int kEach>
struct Fragments {
  static constexpr int kKept = kReach == 1 ? kTileBlocks + 1 : 1;
  unsigned kept[kEach][kKept][4];
  const unsigned short* taps;  // of the first channel

  __device__ explicit Fragments(const unsigned short* own_taps) : taps(own_taps) {
    if constexpr (kReach == 1) {
      // Volatile: an operand is four registers side by side. Entries stand in several of them, and
      // if the compiler knew, it would move them together again before every product.
      const volatile unsigned short* read_again = taps;
#pragma unroll
      for (int at = 0; at < kEach * kKept; at++) {
        read(read_again + at / kKept * kTapRow<kReach>, at % kKept, kept[at / kKept][at % kKept]);
      }
    }
  }
  template <class Tap>
  __device__ static void read(const Tap* taps, int i, unsigned (&w)[4]) {
    w[0] = fragment_entry(taps, 2 * i);
    w[1] = fragment_entry(taps, 2 * i + 1);
    w[2] = fragment_entry(taps, 2 * i - 1);
    w[3] = fragment_entry(taps, 2 * i);
  }
  __device__ void add_product(float (&sum)[4], int channel, int i, unsigned in0,
                              unsigned in1) const {
    if constexpr (kReach == 1) {
      multiply_add(sum, kept[channel][i], in0, in1);
    } else {
      unsigned w[4];
      read(taps + channel * kTapRow<kReach>, i, w);
      multiply_add(sum, w, in0, in1);
    }
  }
};

/// kForward: out_b = sum_i W_i in_{b-i}. sums[channel]: lane (g, q) has, of blocks 2 q and 2 q + 1 of
/// `tile`, slots g (0, 1) and g + 8 (2, 3).
/// Else out_b = sum_i W_i^T in_{b+i}, and the slots of every half block of `in` are in the order 7..0:
/// with both halves exchanged the slots of a block are 15..0, and W_i^T read backwards is W_i. Then so
/// are the sums': slots 15 - g (0, 1) and 7 - g (2, 3).
/// ring: of the warp's first channel. starts: of the ring's blocks, null when all rows are sequences.
/// zeros: 16 bytes.
template <int kReach, int kEach, bool kForward>
__device__ inline void convolve(float (&sums)[kEach][4], const Fragments<kReach, kEach>& fragments,
                                int K, const char* ring, int tile, int swizzle, const int* starts,
                                const char* zeros) {
  constexpr int kBlocks = kRing<kReach> * kTileBlocks;
  const int lane = threadIdx.x % 32, half = kForward ? lane / 8 % 2 : 1 - lane / 8 % 2;
  const int out = tile * kTileBlocks + lane % 8;
#pragma unroll
  for (int k = 0; k < kEach * 4; k++) {
    sums[k / 4][k % 4] = 0;
  }
  const int first_start = starts != nullptr ? starts[out & (kBlocks - 1)] : 0;
  const auto pair = [&](int i) {  // blocks i and i + 1 away
    const int in = kForward ? out - i - lane / 16 : out + i + lane / 16;
    const char* row = ring + half_block_at<kRing<kReach>>(in, half, swizzle);
    int stride = kRingBytes<kReach>;
    if (starts != nullptr) {
      const bool same = kForward ? first_start <= in : starts[in & (kBlocks - 1)] <= out;
      row = same ? row : zeros;
      stride = same ? stride : 0;
    }
#pragma unroll
    for (int channel = 0; channel < kEach; channel++) {
      unsigned in_blocks[4];
      load_matrices(in_blocks, row + channel * stride);
      fragments.add_product(sums[channel], channel, i, in_blocks[0], in_blocks[1]);
      // What lies beyond the reach may be nothing: not even multiplied by zero.
      if (kReach == 1 ? i == kTileBlocks : 16 * i + 1 >= K) continue;
      fragments.add_product(sums[channel], channel, i + 1, in_blocks[2], in_blocks[3]);
    }
  };
  if constexpr (kReach == 1) {
#pragma unroll
    for (int i = 0; i <= kTileBlocks; i += 2) {
      pair(i);
    }
  } else {
#pragma unroll 1
    for (int i = 0; 16 * i - 15 < K; i += 2) {
      pair(i);
    }
  }
}

/// Calls f.template operator()<kReach, kRows>().
template <class F>
void with_matrix_instance(const Conv1dArgs& a, bool together, F f) {
  const auto with_rows = [&]<int kReach>() {
    if (!together || a.history != nullptr) {
      f.template operator()<kReach, Rows::any>();
    } else if (a.plan != nullptr) {
      f.template operator()<kReach, Rows::packed>();
    } else {
      f.template operator()<kReach, Rows::plain>();
    }
  };
  a.K <= kTileSlots ? with_rows.template operator()<1>() : with_rows.template operator()<4>();
}

/// Packed rows with their plan made, `gap` zeros at least behind every sequence. Rows shorter than a
/// tile stand in memory one behind the other: several are taken as one packed row.
Conv1dArgs with_planned_rows(const Conv1dArgs& a, int gap);
void matrix_conv1d_forward(const Conv1dArgs& a);
void matrix_conv1d_backward(const Conv1dArgs& a);

}  // namespace farsight::cuda
