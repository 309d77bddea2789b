// Tiles of attention.cu in shared memory, in f32, rows padded by one float: no two threads of a warp meet
// in a bank.
#pragma once

#include "cuda/attention.cuh"

namespace farsight::cuda::attention_tiles {

inline constexpr int kTile = 32;
inline constexpr int kThreads = 256;
inline constexpr int kEach = kTile * kTile / kThreads;  // scores of a thread, in one row
inline constexpr int kRowLanes = kThreads / kTile;      // that share a row of scores
inline constexpr int kScores = kTile + 1;               // floats between rows of scores

/// tile[row][dim] of `part` for tokens first ... first + kTile - 1; zeros beyond the end.
template <class T>
__device__ void load_tile(const Head<T>& head, int part, std::int64_t first, float* tile) {
  const int hd = int(head.a.head), pitch = hd + 1;
  for (int at = threadIdx.x; at < kTile * hd; at += kThreads) {
    const int row = at / hd, i = at % hd;
    const std::int64_t t = first + row;
    float x = 0;
    if (t < head.a.T) {
      x = part < 2 ? head.turned(t, head.qkv(t, part), i) : to_float(head.qkv(t, part)[i]);
    }
    tile[row * pitch + i] = x;
  }
}
template <class T>
__device__ void load_dy(const Head<T>& head, std::int64_t first, float* tile) {
  const int hd = int(head.a.head), pitch = hd + 1;
  for (int at = threadIdx.x; at < kTile * hd; at += kThreads) {
    const int row = at / hd, i = at % hd;
    const std::int64_t t = first + row;
    tile[row * pitch + i] = t < head.a.T ? to_float(head.dy(t)[i]) : 0.0f;
  }
}

/// The thread's kEach entries of left right^T: row threadIdx.x / 8, columns threadIdx.x % 8 + 8 i.
__device__ inline void products(const float* left, const float* right, int hd, float (&s)[kEach]) {
  const int pitch = hd + 1;
  const float* x = left + threadIdx.x / 8 * pitch;
#pragma unroll
  for (int i = 0; i < kEach; i++) {
    const float* y = right + (threadIdx.x % 8 + 8 * i) * pitch;
    s[i] = 0;
    for (int k = 0; k < hd; k++) {
      s[i] += x[k] * y[k];
    }
  }
}

/// out[row][dim] += weights (or their transpose) times rows, all in shared memory.
template <bool kTranspose>
__device__ inline void accumulate(const float* weights, const float* rows, int hd, float* out) {
  const int pitch = hd + 1;
  for (int at = threadIdx.x; at < kTile * hd; at += kThreads) {
    const int row = at / hd, i = at % hd;
    float sum = out[row * pitch + i];
    for (int j = 0; j < kTile; j++) {
      sum += weights[kTranspose ? j * kScores + row : row * kScores + j] * rows[j * pitch + i];
    }
    out[row * pitch + i] = sum;
  }
}

/// Where the tiles of keys begin that a tile of queries sees: no later token sees an earlier key.
template <class T>
__device__ std::int64_t first_tile(const Head<T>& head, std::int64_t queries) {
  return head.start(queries) / kTile * kTile;
}

}  // namespace farsight::cuda::attention_tiles
