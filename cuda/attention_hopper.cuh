// Attention by the products of warpgroups (wgmma.cuh), in bf16, for heads of up to 64 dims: what its
// forward and its backward share. The tensors that it takes, the rows of a head, whose first dims have
// been turned, and the way of gradients back to memory are those of attention_matrix.cuh.
//
// A warpgroup has 64 rows of one head, queries or keys; tiles of 64 rows of the other kind pass by in a
// ring of stages that the whole block fills. Every output has one owner, and its sum one order.
#pragma once

#include "cuda/attention_matrix.cuh"
#include "cuda/wgmma.cuh"

namespace farsight::cuda::attention_hopper {

using attention_matrix::dy_of;
using attention_matrix::kHead;
using attention_matrix::kPieces;
using attention_matrix::part_of;
using attention_matrix::Source;

constexpr int kTile = 64;  // rows that pass by at a time
constexpr int kTileSize = kTile * wgmma::kRow;

/// The blocks in the order in which they start: tile by tile through some heads at a time, so that what
/// the tiles of a head read of it again is in the L2 cache; the longest tiles first, so that the last
/// blocks to start are the quickest.
struct Order {
  int H, heads, tiles, together;

  Order(const AttentionArgs& a, int rows)
      : H(int(a.H)), heads(int(a.B * a.H)), tiles(blocks_for(a.T, rows)), together(heads) {
    constexpr std::int64_t kCached = std::int64_t(16) << 20;  // of Hopper's 50 MB
    const std::int64_t each = a.T * a.head * 2 * std::int64_t(sizeof(bf16));
    if (each * heads > kCached) together = kCached > each ? int(kCached / each) : 1;
  }
  unsigned blocks() const { return static_cast<unsigned>(heads) * static_cast<unsigned>(tiles); }

  struct Place {
    int b, h, first;  // row of the batch, head, first row of the tile
  };
  /// of_last: the last tile of a head is the longest.
  __device__ Place place(int rows, bool of_last) const {
    const int first = int(blockIdx.x) / (together * tiles) * together;
    const int count = min(together, heads - first), at = int(blockIdx.x) - first * tiles;
    const int head = first + at % count;
    return {head / H, head % H, (of_last ? tiles - 1 - at / count : at / count) * rows};
  }
};

/// A barrier of the block, from wherever its warpgroups are.
template <int kThreads>
__device__ inline void meet() {
  asm volatile("bar.sync 1, %0;" ::"n"(kThreads) : "memory");
}

/// Sends rows of a head on to tiles: a thread has one piece of every 32nd row.
template <int kThreads>
class Copier {
 public:
  __device__ Copier(const AttentionArgs& a, const Source& from) {
    const int i = int(threadIdx.x) % kPieces * 8;
    const bool turned = i < from.turned_dims;
    from_ = (turned ? from.turned : from.rows) + i;
    stride_ = unsigned(turned ? from.turned_stride : from.stride);
    end_ = i < int(a.head) ? int(a.T) : 0;
  }
  /// kCount rows from token `first` on; zeros beyond the last token and dim.
  template <int kCount>
  __device__ void copy(int first, bf16* tile) const {
    const int row = int(threadIdx.x) / kPieces;
    bf16* const to = tile + wgmma::swizzled(row, int(threadIdx.x) % kPieces);
#pragma unroll
    for (int k = 0; k < kCount; k += kThreads / kPieces) {
      const int t = first + row + k;
      copy_ahead<16>(to + k * wgmma::kRow, from_ + unsigned(t) * stride_, t < end_);
    }
  }

 private:
  const bf16* from_;
  unsigned stride_;
  int end_;
};

/// The warp's 16 rows of a tile, from `row` on, as left operands.
__device__ inline void load_left(const bf16* tile, int row, unsigned (&left)[4][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    load_matrices(left[i], tile + wgmma::swizzled(row + lane % 16, 2 * i + lane / 16));
  }
}

}  // namespace farsight::cuda::attention_hopper
