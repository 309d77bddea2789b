// The backward on tensor cores, in two kernels without a common sum: one has kTile keys of a head
// and lets the queries that see them pass by (dk, dv), one has kTile queries and lets their keys
// pass by (dq). Each computes P again from the log-sum-exp; dS and P are rounded to bf16 as left
// operands, sums are f32.
#include "cuda/attention_matrix.cuh"

namespace farsight::cuda::matrix {
namespace {

/// Writes a warp's 16 rows of gradients of `part` by way of its own rows of `tile`, which nobody
/// reads any more: a pair of turning dims lies in two lanes.
__device__ void store_rows(const Head<bf16>& head, int part, std::int64_t first, float* tile,
                           const float (&sum)[kHead / 8][4]) {
  constexpr int kRow = kHead + 1;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, hd = int(head.a.head);
  float* rows = tile + warp * 16 * kRow;
#pragma unroll
  for (int d = 0; d < kHead / 8; d++) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
      rows[(lane / 4 + k / 2 * 8) * kRow + d * 8 + lane % 4 * 2 + k % 2] = sum[d][k];
    }
  }
  __syncwarp();
  for (int at = lane; at < 16 * hd; at += 32) {
    const int row = at / hd, i = at % hd;
    const std::int64_t t = first + warp * 16 + row;
    if (t >= head.a.T) continue;
    const float* x = rows + row * kRow;
    put(head.dqkv(t, part) + i, part < 2 ? head.turned(t, x, i, true) : x[i], head.a.dqkv_add);
  }
  __syncwarp();
}

__global__ void __launch_bounds__(kThreads)
    differentiate_queries(const __grid_constant__ AttentionArgs a) {
  __shared__ uint4 storage[2 * kTile * kPitch / 8];
  bf16 *k = reinterpret_cast<bf16*>(storage), *v = k + kTile * kPitch;
  const Head<bf16> head(a, blockIdx.x);
  const std::int64_t queries = std::int64_t(gridDim.y - 1 - blockIdx.y) * kTile;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const float scale = rsqrtf(float(a.head));

  unsigned q[kHead / 16][4], dy[kHead / 16][4];
  load_part(head, 0, queries, k);
  load_dy(head, queries, v);
  __syncthreads();
  turn_rows(head, queries, k);
  __syncthreads();
  load_left(k, q);
  load_left(v, dy);

  std::int64_t first[2];
  float lse[2] = {}, delta[2] = {};
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const std::int64_t t = queries + warp * 16 + lane / 4 + half * 8;
    first[half] = t + 1;  // a row that is not there sees nothing
    if (t < a.T) {
      first[half] = head.start(t);
      lse[half] = kLog2E * static_cast<const float*>(a.lse)[head.row(t)];
      delta[half] = static_cast<const float*>(a.delta)[head.row(t)];
    }
  }
  float dq[kHead / 8][4] = {};
  for (std::int64_t keys = head.start(queries) / kTile * kTile; keys <= queries; keys += kTile) {
    __syncthreads();
    load_part(head, 1, keys, k);
    load_part(head, 2, keys, v);
    __syncthreads();
    turn_rows(head, keys, k);
    __syncthreads();
    float s[kBlocks][4], dp[kBlocks][4];
    against_rows(q, k, s);
    against_rows(dy, v, dp);
    for_each_element([&](int n, int i, int row, int column) {
      const std::int64_t j = keys + column;
      const bool seen = j <= queries + row && j >= first[i / 2];
      const float p = seen ? exp2_approx(s[n][i] * scale * kLog2E - lse[i / 2]) : 0.0f;
      s[n][i] = p * (dp[n][i] - delta[i / 2]) * scale;
    });
    accumulate(s, k, dq);
  }
  __syncthreads();
  store_rows(head, 0, queries, reinterpret_cast<float*>(storage), dq);
}

__global__ void __launch_bounds__(kThreads)
    differentiate_keys(const __grid_constant__ AttentionArgs a) {
  __shared__ uint4 storage[2 * kTile * kPitch / 8];
  __shared__ float lse[kTile], delta[kTile];
  __shared__ std::int64_t start[kTile];
  bf16 *q = reinterpret_cast<bf16*>(storage), *dy = q + kTile * kPitch;
  const Head<bf16> head(a, blockIdx.x);
  const std::int64_t keys = std::int64_t(blockIdx.y) * kTile;
  const float scale = rsqrtf(float(a.head));

  unsigned k[kHead / 16][4], v[kHead / 16][4];
  load_part(head, 1, keys, q);
  load_part(head, 2, keys, dy);
  __syncthreads();
  turn_rows(head, keys, q);
  __syncthreads();
  load_left(q, k);
  load_left(dy, v);

  float dk[kHead / 8][4] = {}, dv[kHead / 8][4] = {};
  const std::int64_t last_key = min(keys + kTile, a.T) - 1;
  for (std::int64_t queries = keys; queries < a.T; queries += kTile) {
    if (head.start(queries) > last_key) break;  // and so do all that follow
    __syncthreads();
    load_part(head, 0, queries, q);
    load_dy(head, queries, dy);
    for (int row = threadIdx.x; row < kTile; row += kThreads) {
      const std::int64_t t = queries + row;
      const bool there = t < a.T;
      start[row] = there ? head.start(t) : t + 1;  // a row that is not there sees nothing
      lse[row] = there ? kLog2E * static_cast<const float*>(a.lse)[head.row(t)] : 0.0f;
      delta[row] = there ? static_cast<const float*>(a.delta)[head.row(t)] : 0.0f;
    }
    __syncthreads();
    turn_rows(head, queries, q);
    __syncthreads();
    float p[kBlocks][4], ds[kBlocks][4];  // transposed: rows are keys
    against_rows(k, q, p);
    against_rows(v, dy, ds);
    for_each_element([&](int n, int i, int row, int column) {
      const std::int64_t j = keys + row;
      const bool seen = j <= queries + column && j >= start[column];
      p[n][i] = seen ? exp2_approx(p[n][i] * scale * kLog2E - lse[column]) : 0.0f;
      ds[n][i] = p[n][i] * (ds[n][i] - delta[column]) * scale;
    });
    accumulate(p, dy, dv);
    accumulate(ds, q, dk);
  }
  __syncthreads();
  store_rows(head, 1, keys, reinterpret_cast<float*>(storage), dk);
  store_rows(head, 2, keys, reinterpret_cast<float*>(storage), dv);
}

}  // namespace

void backward(const AttentionArgs& a) {
  const dim3 grid(static_cast<unsigned>(a.B * a.H), static_cast<unsigned>(blocks_for(a.T, kTile)));
  differentiate_keys<<<grid, kThreads, 0, stream()>>>(a);
  launched("attention_backward, dk and dv on tensor cores");
  differentiate_queries<<<grid, kThreads, 0, stream()>>>(a);
  launched("attention_backward, dq on tensor cores");
}

}  // namespace farsight::cuda::matrix
