// States of a warp's tile in shared memory, as the backward of the scan keeps them between its sweeps:
// a slot a step, [32 channels][16 states] of bf16, the two halves of a channel's states swapped for
// every other four channels so that neither rows nor columns collide in the banks. Channel i = 2 m + e
// of lane row `row` stands at 16 m + 8 e + row.
#pragma once

#include "cuda/selective_scan_matrix.cuh"

namespace farsight::cuda {

inline constexpr unsigned kSlotBytes = kTileChannels * kScanStates * 2;

/// Four products' operands of a channel tile m: word 2 j + e holds the states 8 j + 2 pair and the next
/// of channel 2 m + e.
using Words = unsigned[2][4];

__device__ inline void pack_tile(const Tile& h, Words& words) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const int m = i / 4, j = i / 2 % 2, e = i % 2;
    words[m][2 * j + e] = pack(h[m][j][2 * e], h[m][j][2 * e + 1]);
  }
}
/// The addresses that a lane gives in a slot: of a row of the four 8 x 8 matrices of channels 0 to 15.
struct SlotLane {
  unsigned states;    // of a matrix of Words: channels 8 e ..., states 8 j ..., matrix 2 j + e
  unsigned channels;  // the same for products over channels: matrix 2 e + j
  __device__ SlotLane(const void* slots, int lane) {
    const auto first = static_cast<unsigned>(__cvta_generic_to_shared(slots));
    const auto at = [&](int channel, int half) {
      return first + unsigned(channel * 32 + (half ^ (channel / 4 % 2)) * 16);
    };
    states = at(lane / 8 % 2 * 8 + lane % 8, lane / 16);
    channels = at(lane / 16 * 8 + lane % 8, lane / 8 % 2);
  }
};

/// The states of a slot as f32: their product with `identity` (see identity_of), 4 instructions where
/// shifts and masks are 16.
__device__ inline void load_tile(Tile& h, unsigned slot, unsigned identity) {
#pragma unroll
  for (int m = 0; m < 2; m++) {
    unsigned words[4];
    load_matrices(words, slot + unsigned(m) * (kSlotBytes / 2));
#pragma unroll
    for (int j = 0; j < 2; j++) {
      float(&x)[4] = h[m][j];
      x[0] = x[1] = x[2] = x[3] = 0;
      multiply_add_half(x, words[2 * j], words[2 * j + 1], identity);
    }
  }
}
__device__ inline unsigned identity_of(int row, int pair) {
  return row == 2 * pair ? 0x3f80u : row == 2 * pair + 1 ? 0x3f800000u : 0u;
}
__device__ inline void store_tile(unsigned slot, const Words& words) {
#pragma unroll
  for (int m = 0; m < 2; m++) {
    store_matrices(slot + unsigned(m) * (kSlotBytes / 2), words[m]);
  }
}

/// Where the four channels of lane row `row` stand among the eight fours of a step of four in shared memory.
/// A quarter of a warp, whose fours move at once, has two rows of the four steps: as they come, 128 bytes
/// apart, they would meet in the same banks.
__device__ inline int spread(int step, int row) {
  return row ^ (2 * step +
                step % 2);  // the last bit: so that fours 2 q of neighbouring steps differ, too
}

/// Weights of 32 channels for eight columns, this lane's column being `row`: word 2 m + e holds
/// channel 2 m + e of the lane rows 2 pair and 2 pair + 1. `fours`: of the column, `step` of its group.
__device__ inline void load_weights(unsigned (&weights)[4], const float4* fours, int step,
                                    int pair) {
  const float4 low = fours[spread(step, 2 * pair)], high = fours[spread(step, 2 * pair + 1)];
  weights[0] = pack(low.x, high.x);
  weights[1] = pack(low.y, high.y);
  weights[2] = pack(low.z, high.z);
  weights[3] = pack(low.w, high.w);
}
/// Column 2 (column / 2) + column % 2 of sum[n][column] = sum over the channels of states weights; the
/// lanes that own it take it.
__device__ inline void sum_channels(float (&sums)[4], unsigned slot, const unsigned (&weights)[4],
                                    int column, int pair) {
  float all[4] = {};
#pragma unroll
  for (int m = 0; m < 2; m++) {
    unsigned states[4];
    load_transposed(states, slot + unsigned(m) * (kSlotBytes / 2));
    multiply_add(all, states, weights[2 * m], weights[2 * m + 1]);
  }
  const int c = column % 2;
  if (pair == column / 2) {
    sums[c] = all[c];
    sums[2 + c] = all[2 + c];
  }
}

}  // namespace farsight::cuda
