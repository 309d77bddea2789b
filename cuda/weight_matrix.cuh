// How the kernels of ops/weight_matrix.h walk through a matrix. A block has a tile of 64 x 64 entries
// and a share of the channels; a thread has 4 x 4 of the entries, sums them over the channels in
// registers, channel by channel in order, and leaves the sums in `partial`. finish_matrix adds up the
// shares, in order. Tiles above the diagonal end at once.
//
// What differs is how a chunk of channels is staged in shared memory and what an entry of one of them
// is: a Weigher, with
//   kChunk                           channels staged at a time
//   stage(c, count)                  brings channels [c, c + count) into shared memory
//   weigh(i, w)                      adds the entries of staged channel i to w, 0 above the diagonal
// Every thread of the block calls both; between them are barriers, and before the next stage too.
#pragma once

#include "cuda/device.cuh"
#include "ops/weight_matrix.h"

namespace farsight::cuda {

inline constexpr int kMatrixTile = 64, kMatrixThreads = 256;
inline constexpr int kMatrixRow = kMatrixTile + 4;  // in shared memory: spreads columns over banks

/// Where a block's tile lies. Steps are counted from the sequence's begin.
struct MatrixTile {
  int t, s;      // first target and source
  int end;       // of the targets, and so of what anything here reads
  int c, c_end;  // channels

  __device__ explicit MatrixTile(const MatrixArgs& m) {
    const int row = int(blockIdx.y) * kMatrixTile;
    t = int(m.row) + row;
    s = int(blockIdx.x) * kMatrixTile;
    end = min(t + kMatrixTile, int(m.row + m.rows));
    c = int(m.channel + m.channels * blockIdx.z / m.shares);
    c_end = int(m.channel + m.channels * (blockIdx.z + 1) / m.shares);
  }
  __device__ bool above() const { return s >= end; }
  /// Every source comes before every target, or with the first.
  __device__ bool before() const { return s + kMatrixTile - 1 <= t; }
};

/// This thread's entries: rows and columns of the tile.
struct MatrixPlace {
  int row, column;
  __device__ MatrixPlace() : row(int(threadIdx.x) / 16 * 4), column(int(threadIdx.x) % 16 * 4) {}
};

__device__ inline void load_four(const float* from, float (&x)[4]) {
  const float4 raw = *reinterpret_cast<const float4*>(from);
  x[0] = raw.x, x[1] = raw.y, x[2] = raw.z, x[3] = raw.w;
}

/// w += P^T Q of the tile: P, Q [depth][kRow] in shared memory, by rows and by columns of the tile.
template <int kDepth, int kRow>
__device__ inline void add_products(const float (*P)[kRow], const float (*Q)[kRow],
                                    const MatrixPlace& place, float (&w)[4][4]) {
#pragma unroll
  for (int n = 0; n < kDepth; n++) {
    float p[4], q[4];
    load_four(&P[n][place.row], p);
    load_four(&Q[n][place.column], q);
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        w[i][j] = fmaf(p[i], q[j], w[i][j]);
      }
    }
  }
}

/// Steps [first, first + 64) of channels [c, c + count) of a tensor [steps, D] into to[channel][step];
/// 0 from `end` on.
template <int kChunk>
__device__ inline void stage_steps(float (*to)[kMatrixRow], const void* from, std::int64_t D,
                                   int first, int end, int c, int count) {
  for (int i = int(threadIdx.x); i < kMatrixTile * kChunk; i += kMatrixThreads) {
    const int step = i / kChunk, channel = i % kChunk;
    const bool there = first + step < end && channel < count;
    to[channel][step] =
        there ? static_cast<const float*>(from)[(first + step) * D + c + channel] : 0.0f;
  }
}

/// The block's work.
template <class Weigher>
__device__ inline void sum_tile(const MatrixArgs& m, const MatrixTile& tile, Weigher& weigher) {
  constexpr int kChunk = Weigher::kChunk;
  const MatrixPlace place;
  float total[4][4] = {};
  for (int c = tile.c; c < tile.c_end; c += kChunk) {
    const int count = min(kChunk, tile.c_end - c);
    __syncthreads();
    weigher.stage(c, count);
    __syncthreads();
    float sum[4][4] = {};  // of a chunk: sums of sums lose less
    for (int channel = 0; channel < count; channel++) {
      float w[4][4] = {};
      weigher.weigh(channel, w);
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
          sum[i][j] += m.absolute ? fabsf(w[i][j]) : w[i][j];
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        total[i][j] += sum[i][j];
      }
    }
  }
  const std::int64_t share = blockIdx.z * m.rows;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const int t = tile.t + place.row + i;
    float* to = static_cast<float*>(m.partial) + (share + t - m.row) * m.T;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const int s = tile.s + place.column + j;
      if (t < tile.end && s <= t) to[s] = total[i][j];
    }
  }
}

inline dim3 matrix_grid(const MatrixArgs& m) {
  return {unsigned(blocks_for(m.row + m.rows, kMatrixTile)),
          unsigned(blocks_for(m.rows, kMatrixTile)), unsigned(m.shares)};
}
/// m from `partial`.
void finish_matrix(const MatrixArgs& m);

}  // namespace farsight::cuda
