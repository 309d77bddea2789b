// The forward on tensor cores. A block has kTile queries of one head, a warp 16 of them, with their
// sums in registers; the keys and values pass by in tiles, and the softmax is kept up to date as
// they do (Milakov and Gimelshein, 2018; Dao, 2023). Scores, softmax and sums are f32; the
// probabilities are rounded to bf16 as left operands.
#include "cuda/attention_matrix.cuh"

namespace farsight::cuda::matrix {
namespace {

/// Over the 4 lanes of a row.
__device__ inline float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ inline float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

__global__ void __launch_bounds__(kThreads) attend(const __grid_constant__ AttentionArgs a) {
  __shared__ uint4 storage[2 * kTile * kPitch / 8];
  bf16 *k = reinterpret_cast<bf16*>(storage), *v = k + kTile * kPitch;
  const Head<bf16> head(a, blockIdx.x);
  // The longest rows first: the last blocks to start are the quickest.
  const std::int64_t queries = std::int64_t(gridDim.y - 1 - blockIdx.y) * kTile;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const float scale = kLog2E * rsqrtf(float(a.head));

  unsigned q[kHead / 16][4];
  load_part(head, 0, queries, k);
  __syncthreads();
  turn_rows(head, queries, k);
  __syncthreads();
  load_left(k, q);

  std::int64_t first[2];
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const std::int64_t t = queries + warp * 16 + lane / 4 + half * 8;
    first[half] = t < a.T ? head.start(t) : t;
  }
  float sum[kHead / 8][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {};
  for (std::int64_t keys = head.start(queries) / kTile * kTile; keys <= queries; keys += kTile) {
    __syncthreads();
    load_part(head, 1, keys, k);
    load_part(head, 2, keys, v);
    __syncthreads();
    turn_rows(head, keys, k);
    __syncthreads();
    float s[kBlocks][4];
    against_rows(q, k, s);
    float highest[2] = {most[0], most[1]};
    for_each_element([&](int n, int i, int row, int column) {
      const std::int64_t j = keys + column;
      const bool seen = j <= queries + row && j >= first[i / 2];
      s[n][i] = seen ? s[n][i] * scale : -INFINITY;
      highest[i / 2] = fmaxf(highest[i / 2], s[n][i]);
    });
    float shift[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      highest[half] = row_max(highest[half]);
      shift[half] = highest[half] == -INFINITY ? 0.0f : highest[half];  // sees none of the tile
      const float change = exp2_approx(most[half] - shift[half]);
      most[half] = highest[half];
      total[half] *= change;
#pragma unroll
      for (int d = 0; d < kHead / 8; d++) {
        sum[d][2 * half] *= change;
        sum[d][2 * half + 1] *= change;
      }
    }
    for_each_element([&](int n, int i, int, int) {
      s[n][i] = exp2_approx(s[n][i] - shift[i / 2]);
      total[i / 2] += s[n][i];
    });
    accumulate(s, v, sum);
  }

#pragma unroll
  for (int half = 0; half < 2; half++) {
    const std::int64_t t = queries + warp * 16 + lane / 4 + half * 8;
    const float all = row_sum(total[half]);
    if (t >= a.T) continue;
    if (lane % 4 == 0) {
      static_cast<float*>(a.lse)[head.row(t)] = (most[half] + log2f(all)) / kLog2E;
    }
    const float factor = 1.0f / all;
#pragma unroll
    for (int d = 0; d < kHead / 8; d++) {
      const int i = d * 8 + lane % 4 * 2;
      if (i < a.head) {
        *reinterpret_cast<unsigned*>(head.y(t) + i) =
            pack(sum[d][2 * half] * factor, sum[d][2 * half + 1] * factor);
      }
    }
  }
}

}  // namespace

void forward(const AttentionArgs& a) {
  const dim3 grid(static_cast<unsigned>(a.B * a.H), static_cast<unsigned>(blocks_for(a.T, kTile)));
  attend<<<grid, kThreads, 0, stream()>>>(a);
  launched("attention_forward, tensor cores");
}

}  // namespace farsight::cuda::matrix
