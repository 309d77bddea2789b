// Attention on tensor cores, in bf16, for heads of up to 64 dims: the tiles in shared memory and the
// products of a warp. A block has four warps; a warp has 16 rows of the block's tile and meets all
// kTile rows of the tiles that pass by.
#pragma once

#include "cuda/attention.cuh"

namespace farsight::cuda::matrix {

constexpr int kTile = 64;
constexpr int kThreads = 128;
constexpr int kHead = 64;          // dims of a tile's rows; a narrower head has zeros behind it
constexpr int kPitch = kHead + 8;  // of a row: eight rows of 16 bytes lie in different banks
constexpr int kBlocks = kTile / 8;

/// Whether these kernels take the tensors: rows of 16-byte vectors.
inline bool fits(const AttentionArgs& a) {
  return a.type == DType::bf16 && a.head <= kHead && a.head % 8 == 0 && a.dy_stride % 8 == 0 &&
         a.dqkv_stride % 8 == 0 && moves_together<8, bf16>(a.qkv_stride, a.qkv, a.y, a.dy, a.dqkv);
}

// ---- instructions -------------------------------------------------------------------------------------

/// Four 8 x 8 matrices of two-byte elements; lane l gives the address of row l % 8 of matrix l / 8.
__device__ inline void load_matrices(unsigned (&to)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}
/// The same, each transposed.
__device__ inline void load_transposed(unsigned (&to)[4], unsigned row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(row)
               : "memory");
}
/// sum += a b: [16 x 8] += [16 x 16] [16 x 8]. Lane 4 r + q has of the sum columns 2 q, 2 q + 1 of
/// rows r and r + 8.
__device__ inline void multiply_add_16(float (&sum)[4], const unsigned (&a)[4], unsigned b0,
                                       unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ inline unsigned pack(float low, float high) {
  unsigned both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}

// ---- tiles --------------------------------------------------------------------------------------------

/// Rows of the head's tokens first ... first + kTile - 1; zeros beyond the last token and dim.
/// `from(t)` is the address of a row.
template <class From>
__device__ void load_rows(const Head<bf16>& head, std::int64_t first, bf16* tile,
                          const From& from) {
  for (int at = threadIdx.x; at < kTile * kHead / 8; at += kThreads) {
    const int row = at / (kHead / 8), i = at % (kHead / 8) * 8;
    const std::int64_t t = first + row;
    uint4 x = {};
    if (t < head.a.T && i < head.a.head) x = *reinterpret_cast<const uint4*>(from(t) + i);
    *reinterpret_cast<uint4*>(tile + row * kPitch + i) = x;
  }
}
__device__ inline void load_part(const Head<bf16>& head, int part, std::int64_t first, bf16* tile) {
  load_rows(head, first, tile, [&](std::int64_t t) { return head.qkv(t, part); });
}
__device__ inline void load_dy(const Head<bf16>& head, std::int64_t first, bf16* tile) {
  load_rows(head, first, tile, [&](std::int64_t t) { return head.dy(t); });
}
/// Turns the rows of a tile of q or k in place. Between two __syncthreads.
__device__ inline void turn_rows(const Head<bf16>& head, std::int64_t first, bf16* tile) {
  const int half = int(head.a.rotary / 2);
  for (int at = threadIdx.x; at < kTile * half; at += kThreads) {
    const int row = at / half, i = at % half;
    const std::int64_t t = first + row;
    if (t >= head.a.T) continue;
    const float* turns =
        static_cast<const float*>(head.a.turns) + head.position(t) * head.a.rotary + 2 * i;
    bf16* x = tile + row * kPitch + i;
    const float low = to_float(x[0]), high = to_float(x[half]);
    x[0] = from_float<bf16>(low * turns[0] - high * turns[1]);
    x[half] = from_float<bf16>(high * turns[0] + low * turns[1]);
  }
}

__device__ inline unsigned address_of(const bf16* tile, int row, int column) {
  return unsigned(__cvta_generic_to_shared(tile + row * kPitch + column));
}

/// The 16 rows of this warp, as left operands: dims 16 i ... 16 i + 15 in rows[i].
__device__ inline void load_left(const bf16* tile, unsigned (&rows)[kHead / 16][4]) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int i = 0; i < kHead / 16; i++) {
    load_matrices(rows[i], address_of(tile, warp * 16 + lane % 16, i * 16 + lane / 16 * 8));
  }
}
/// s = left tile^T: the warp's 16 rows against the kTile rows of the tile, 8 of them in s[n].
__device__ inline void against_rows(const unsigned (&left)[kHead / 16][4], const bf16* tile,
                                    float (&s)[kBlocks][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int n = 0; n < kBlocks; n += 2) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
      s[n][k] = 0;
      s[n + 1][k] = 0;
    }
#pragma unroll
    for (int i = 0; i < kHead / 16; i++) {
      unsigned right[4];
      load_matrices(right,
                    address_of(tile, n * 8 + lane / 16 * 8 + lane % 8, i * 16 + lane / 8 % 2 * 8));
      multiply_add_16(s[n], left[i], right[0], right[1]);
      multiply_add_16(s[n + 1], left[i], right[2], right[3]);
    }
  }
}
/// sum += weights tile: weights [16 x kTile] as against_rows gives them, rounded to bf16.
__device__ inline void accumulate(const float (&weights)[kBlocks][4], const bf16* tile,
                                  float (&sum)[kHead / 8][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int j = 0; j < kTile / 16; j++) {
    const float(&w0)[4] = weights[2 * j], (&w1)[4] = weights[2 * j + 1];
    const unsigned left[4] = {pack(w0[0], w0[1]), pack(w0[2], w0[3]), pack(w1[0], w1[1]),
                              pack(w1[2], w1[3])};
#pragma unroll
    for (int d = 0; d < kHead / 8; d += 2) {
      unsigned right[4];
      load_transposed(
          right, address_of(tile, j * 16 + lane / 8 % 2 * 8 + lane % 8, d * 8 + lane / 16 * 8));
      multiply_add_16(sum[d], left, right[0], right[1]);
      multiply_add_16(sum[d + 1], left, right[2], right[3]);
    }
  }
}

/// Calls body(n, k, row, column) for the elements of a warp's [16 x kTile] that this lane has; row
/// and column within the block's tile and the other one.
template <class Body>
__device__ inline void for_each_element(const Body& body) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#pragma unroll
  for (int n = 0; n < kBlocks; n++) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
      body(n, k, warp * 16 + lane / 4 + k / 2 * 8, n * 8 + lane % 4 * 2 + k % 2);
    }
  }
}

}  // namespace farsight::cuda::matrix
