// Attention on tensor cores, in bf16, for heads of up to 64 dims: where the rows of a head come from,
// the tiles in shared memory, and the products of a warp. A block has four warps; a warp has 16 rows of
// the block's tile, or twice 16, and meets all kTile rows of the tiles that pass by. The next tile is on
// its way while one is worked on.
//
// The dims of q and k that turn are turned once, by a kernel of their own, and stand in a.turned: a row
// of q' or k' begins there and goes on in qkv.
#pragma once

#include "cuda/attention.cuh"
#include "cuda/matrix.cuh"

namespace farsight::cuda::attention_matrix {

constexpr int kTile = 64;
constexpr int kThreads = 128;
constexpr int kHead =
    int(kAttentionMatrixHead);     // dims of a tile's rows; a narrower head has zeros behind it
constexpr int kPitch = kHead + 8;  // of a row: eight rows of 16 bytes lie in different banks
constexpr int kSlices = kTile / 16;
constexpr int kPieces = kHead / 8;  // of a row, 16 bytes each

/// Whether these kernels take the tensors: rows of 16-byte vectors, offsets in a sequence in 32 bits.
inline bool fits(const AttentionArgs& a) {
  return a.type == DType::bf16 && a.head <= kHead && a.head % 8 == 0 && a.dy_stride % 8 == 0 &&
         a.dqkv_stride % 8 == 0 && a.T * a.qkv_stride < std::int64_t(1) << 31 &&
         moves_together<8, bf16>(a.qkv_stride, a.qkv, a.y, a.dy, a.dqkv, a.turned);
}

// ---- rows of a head -----------------------------------------------------------------------------------

struct Source {
  const bf16 *rows, *turned;  // of token 0
  int stride, turned_stride, turned_dims;
};
__device__ inline Source dy_of(const Head<bf16>& head) {
  return {head.dy(0), nullptr, int(head.a.dy_stride), 0, 0};
}
/// part 0, 1, 2: q', k', v.
__device__ inline Source part_of(const Head<bf16>& head, int part) {
  Source from = {head.qkv(0, part), nullptr, int(head.a.qkv_stride), 0, 0};
  if (part < 2 && head.a.turned_dims > 0) {
    from.turned_dims = int(head.a.turned_dims);
    from.turned_stride = int(head.a.H) * 2 * from.turned_dims;
    from.turned = head.turned_row(0, part);
  }
  return from;
}

/// Sends kRows rows from token `first` on to the tile; zeros beyond the last token and dim.
template <int kRows>
__device__ inline void copy_rows(const AttentionArgs& a, const Source& from, int first,
                                 bf16* tile) {
  const int i = int(threadIdx.x) % kPieces * 8;
  const bool turned = i < from.turned_dims, inside = i < int(a.head);
  const bf16* base = (turned ? from.turned : from.rows) + (inside ? i : 0);
  const int stride = turned ? from.turned_stride : from.stride, T = int(a.T);
#pragma unroll
  for (int k = 0; k < kRows * kPieces / kThreads; k++) {
    const int row = int(threadIdx.x) / kPieces + k * (kThreads / kPieces), t = first + row;
    const bool there = inside && t < T;
    copy_ahead<16>(tile + row * kPitch + i, base + (there ? t * stride : 0), there);
  }
}

// ---- products of a warp -------------------------------------------------------------------------------

/// 16 rows of a tile from `row` on, as left operands: dims 16 i ... 16 i + 15 in rows[i].
__device__ inline void load_left(const bf16* tile, int row, unsigned (&rows)[kHead / 16][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < kHead / 16; i++) {
    load_matrices(rows[i], tile + (row + lane % 16) * kPitch + i * 16 + lane / 16 * 8);
  }
}
/// Where a lane reads a tile's rows as right operands of a product with its transpose, and of one with
/// itself; the tile's 16 rows `at` on are that far behind.
__device__ inline unsigned rows_address(const bf16* tile) {
  const int lane = threadIdx.x % 32;
  return shared_address(tile + (lane / 16 * 8 + lane % 8) * kPitch + lane / 8 % 2 * 8);
}
__device__ inline unsigned columns_address(const bf16* tile) {
  const int lane = threadIdx.x % 32;
  return shared_address(tile + (lane / 8 % 2 * 8 + lane % 8) * kPitch + lane / 16 * 8);
}
constexpr unsigned kSliceBytes = 16 * kPitch * 2;

/// kM times 16 rows of the warp against 16 rows of a tile: element [m][e][k] of this lane is row
/// 16 m + lane / 4 + k / 2 * 8, column 8 e + lane % 4 * 2 + k % 2.
template <int kM>
using Slice = float[kM][2][4];

/// s = left (16 rows of a tile)^T.
template <int kM>
__device__ inline void against_rows(const unsigned (&left)[kM][kHead / 16][4], unsigned rows,
                                    Slice<kM>& s) {
#pragma unroll
  for (int i = 0; i < kM * 8; i++) {
    s[i / 8][i / 4 % 2][i % 4] = 0;
  }
#pragma unroll
  for (int i = 0; i < kHead / 16; i++) {
    unsigned right[4];
    load_matrices(right, rows + unsigned(i * 32));
#pragma unroll
    for (int m = 0; m < kM; m++) {
      multiply_add(s[m][0], left[m][i], right[0], right[1]);
      multiply_add(s[m][1], left[m][i], right[2], right[3]);
    }
  }
}
/// sum += weights (16 rows of a tile), the weights rounded to bf16.
template <int kM>
__device__ inline void accumulate(const Slice<kM>& weights, unsigned columns,
                                  float (&sum)[kM][kHead / 8][4]) {
  unsigned left[kM][4];
#pragma unroll
  for (int m = 0; m < kM; m++) {
    const float(&w0)[4] = weights[m][0], (&w1)[4] = weights[m][1];
    left[m][0] = pack(w0[0], w0[1]);
    left[m][1] = pack(w0[2], w0[3]);
    left[m][2] = pack(w1[0], w1[1]);
    left[m][3] = pack(w1[2], w1[3]);
  }
#pragma unroll
  for (int d = 0; d < kHead / 8; d += 2) {
    unsigned right[4];
    load_transposed(right, columns + unsigned(d * 16));
#pragma unroll
    for (int m = 0; m < kM; m++) {
      multiply_add(sum[m][d], left[m], right[0], right[1]);
      multiply_add(sum[m][d + 1], left[m], right[2], right[3]);
    }
  }
}

// ---- rows of gradients --------------------------------------------------------------------------------

constexpr int kRowFloats = kHead + 4;  // of a warp's rows on their way out

/// Writes a warp's 16 rows of gradients of `part` by way of its own rows of shared memory, which nobody
/// reads any more: the dims that turn back together are in different lanes. sum(i): entry i of the lane,
/// row lane / 4 + i / 2 % 2 * 8, dim i / 4 * 8 + lane % 4 * 2 + i % 2.
template <class Sum>
__device__ inline void store_rows(const Head<bf16>& head, int part, int first, float* shared,
                                  Sum sum) {
  const AttentionArgs& a = head.a;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  float* rows = shared + warp * 16 * kRowFloats;
#pragma unroll
  for (int i = 0; i < kHead / 2; i += 2) {
    *reinterpret_cast<float2*>(rows + (lane / 4 + i / 2 % 2 * 8) * kRowFloats + i / 4 * 8 +
                               lane % 4 * 2) = make_float2(sum(i), sum(i + 1));
  }
  __syncwarp();
  const int half = int(a.rotary / 2);
#pragma unroll 1
  for (int at = lane; at < 16 * kPieces; at += 32) {
    const int row = at / kPieces, i = at % kPieces * 8, t = first + row;
    if (t >= int(a.T) || i >= int(a.head)) continue;
    const float* x = rows + row * kRowFloats;
    float y[8];
    if (part == 2 || i >= a.rotary) {
      load_elements<8>(x + i, y);
    } else if (half % 8 == 0) {
      const bool low = i < half;
      float other[8];
      load_elements<8>(x + i, y);
      load_elements<8>(x + (low ? i + half : i - half), other);
      const float* turns = static_cast<const float*>(a.turns) + head.position(t) * a.rotary +
                           2 * (low ? i : i - half);
#pragma unroll
      for (int k = 0; k < 8; k++) {
        const float sine = turns[2 * k + 1];
        y[k] = y[k] * turns[2 * k] + other[k] * (low ? sine : -sine);
      }
    } else {
#pragma unroll
      for (int k = 0; k < 8; k++) {
        y[k] = head.turned(t, x, i + k, true);
      }
    }
    put_elements<8>(head.dqkv(t, part) + i, y, a.dqkv_add);
  }
  __syncwarp();
}

}  // namespace farsight::cuda::attention_matrix
