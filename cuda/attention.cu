// Attention in plain f32 arithmetic, for any type and any head up to 128 dims. A block has one tile
// of kTile queries (forward, dq) or keys (dk, dv) of one head, and walks the tiles of the other side
// in order, so every sum has a fixed order and nothing is added by two blocks. Tiles are in shared
// memory (attention_tiles.cuh).
//
// Floor: q, k, v read once, y written once; backward the same with dy, dq, dk, dv. Reads of k and v
// by the blocks of other tiles come from the L2 cache.
#include "cuda/attention.cuh"
#include "cuda/attention_matrix.cuh"
#include "cuda/attention_tiles.cuh"

namespace farsight::cuda {
namespace {

using namespace attention_tiles;

template <class T>
__global__ void __launch_bounds__(kThreads) attend(const __grid_constant__ AttentionArgs a) {
  extern __shared__ float shared[];
  const int hd = int(a.head), pitch = hd + 1;
  float *q = shared, *k = q + kTile * pitch, *v = k + kTile * pitch, *out = v + kTile * pitch;
  float *p = out + kTile * pitch, *factor = p + kTile * kScores;
  const Head<T> head(a, blockIdx.x);
  const std::int64_t tile = std::int64_t(blockIdx.y) * kTile;
  const int row = threadIdx.x / 8;
  const std::int64_t t = tile + row;
  const float scale = rsqrtf(float(hd));
  load_tile(head, 0, tile, q);
  for (int at = threadIdx.x; at < kTile * pitch; at += kThreads) {
    out[at] = 0;
  }
  const std::int64_t start = t < a.T ? head.start(t) : 0;
  float most = -INFINITY, total = 0;
  for (std::int64_t keys = first_tile(head, tile); keys <= tile; keys += kTile) {
    __syncthreads();
    load_tile(head, 1, keys, k);
    load_tile(head, 2, keys, v);
    __syncthreads();
    float s[kEach];
    products(q, k, hd, s);
    float highest = most;
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      const std::int64_t j = keys + threadIdx.x % 8 + 8 * i;
      s[i] = t < a.T && j >= start && j <= t ? s[i] * scale : -INFINITY;
      highest = fmaxf(highest, s[i]);
    }
    highest = warp_max<kRowLanes>(highest);
    const float shift = highest == -INFINITY ? 0.0f : highest;  // a row that sees none of the tile
    float added = 0;
#pragma unroll
    for (int i = 0; i < kEach; i++) {
      s[i] = exp2_approx((s[i] - shift) * kLog2E);
      added += s[i];
      p[row * kScores + threadIdx.x % 8 + 8 * i] = s[i];
    }
    const float change = exp2_approx((most - shift) * kLog2E);
    total = total * change + warp_sum<kRowLanes>(added);
    most = highest;
    if (threadIdx.x % 8 == 0) factor[row] = change;
    __syncthreads();
    for (int at = threadIdx.x; at < kTile * hd; at += kThreads) {
      out[at / hd * pitch + at % hd] *= factor[at / hd];
    }
    accumulate<false>(p, v, hd, out);  // each thread the entries it has just scaled
  }
  __syncthreads();
  if (threadIdx.x % 8 == 0) {
    factor[row] = 1.0f / total;
    if (t < a.T) static_cast<float*>(a.lse)[head.row(t)] = most + logf(total);
  }
  __syncthreads();
  for (int at = threadIdx.x; at < kTile * hd; at += kThreads) {
    const std::int64_t to = tile + at / hd;
    if (to < a.T)
      head.y(to)[at % hd] = from_float<T>(out[at / hd * pitch + at % hd] * factor[at / hd]);
  }
}

/// delta = rowsum(dy y): a warp a token of a head.
template <class T>
__global__ void __launch_bounds__(kThreads) sum_dy_y(const __grid_constant__ AttentionArgs a) {
  const std::int64_t at = std::int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (at >= a.B * a.H * a.T) return;  // whole warps
  const Head<T> head(a, at / a.T);
  const std::int64_t t = at % a.T;
  float sum = 0;
  for (std::int64_t i = threadIdx.x % 32; i < a.head; i += 32) {
    sum += to_float(head.dy(t)[i]) * to_float(head.y(t)[i]);
  }
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) static_cast<float*>(a.delta)[at] = sum;
}

/// p and ds of queries `queries` (q, dy in shared memory) and keys `keys` (k, v): ds has the factor
/// 1 / sqrt(hd).
template <class T>
__device__ void differentiate_scores(const Head<T>& head, std::int64_t queries, std::int64_t keys,
                                     const float* q, const float* dy, const float* k,
                                     const float* v, float* p, float* ds) {
  const int hd = int(head.a.head), row = threadIdx.x / 8;
  const std::int64_t t = queries + row;
  const float scale = rsqrtf(float(hd));
  float s[kEach], dp[kEach];
  products(q, k, hd, s);
  products(dy, v, hd, dp);
  const bool there = t < head.a.T;
  const float lse = there ? static_cast<const float*>(head.a.lse)[head.row(t)] : 0.0f;
  const float delta = there ? static_cast<const float*>(head.a.delta)[head.row(t)] : 0.0f;
  const std::int64_t start = there ? head.start(t) : 0;
#pragma unroll
  for (int i = 0; i < kEach; i++) {
    const int column = threadIdx.x % 8 + 8 * i;
    const bool seen = there && keys + column >= start && keys + column <= t;
    const float probability = seen ? exp2_approx((s[i] * scale - lse) * kLog2E) : 0.0f;
    p[row * kScores + column] = probability;
    ds[row * kScores + column] = probability * (dp[i] - delta) * scale;
  }
}

/// A tile of gradients to global memory, turned back for q and k.
template <class T>
__device__ void store_tile(const Head<T>& head, int part, std::int64_t first, const float* tile) {
  const int hd = int(head.a.head), pitch = hd + 1;
  for (int at = threadIdx.x; at < kTile * hd; at += kThreads) {
    const int row = at / hd, i = at % hd;
    const std::int64_t t = first + row;
    if (t >= head.a.T) continue;
    const float* x = tile + row * pitch;
    put(head.dqkv(t, part) + i, part < 2 ? head.turned(t, x, i, true) : x[i], head.a.dqkv_add);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    differentiate_queries(const __grid_constant__ AttentionArgs a) {
  extern __shared__ float shared[];
  const int hd = int(a.head), size = kTile * (hd + 1);
  float *q = shared, *dy = q + size, *k = dy + size, *v = k + size, *dq = v + size;
  float *p = dq + size, *ds = p + kTile * kScores;
  const Head<T> head(a, blockIdx.x);
  const std::int64_t tile = std::int64_t(blockIdx.y) * kTile;
  load_tile(head, 0, tile, q);
  load_dy(head, tile, dy);
  for (int at = threadIdx.x; at < size; at += kThreads) {
    dq[at] = 0;
  }
  for (std::int64_t keys = first_tile(head, tile); keys <= tile; keys += kTile) {
    __syncthreads();
    load_tile(head, 1, keys, k);
    load_tile(head, 2, keys, v);
    __syncthreads();
    differentiate_scores(head, tile, keys, q, dy, k, v, p, ds);
    __syncthreads();
    accumulate<false>(ds, k, hd, dq);
  }
  __syncthreads();
  store_tile(head, 0, tile, dq);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    differentiate_keys(const __grid_constant__ AttentionArgs a) {
  extern __shared__ float shared[];
  const int hd = int(a.head), size = kTile * (hd + 1);
  float *q = shared, *dy = q + size, *k = dy + size, *v = k + size, *dk = v + size;
  float *dv = dk + size, *p = dv + size, *ds = p + kTile * kScores;
  const Head<T> head(a, blockIdx.x);
  const std::int64_t keys = std::int64_t(blockIdx.y) * kTile;
  load_tile(head, 1, keys, k);
  load_tile(head, 2, keys, v);
  for (int at = threadIdx.x; at < size; at += kThreads) {
    dk[at] = 0;
    dv[at] = 0;
  }
  const std::int64_t last_key = min(keys + kTile, a.T) - 1;
  for (std::int64_t queries = keys; queries < a.T; queries += kTile) {
    if (head.start(queries) > last_key) break;  // and so do all that follow
    __syncthreads();
    load_tile(head, 0, queries, q);
    load_dy(head, queries, dy);
    __syncthreads();
    differentiate_scores(head, queries, keys, q, dy, k, v, p, ds);
    __syncthreads();
    accumulate<true>(p, dy, hd, dv);
    accumulate<true>(ds, q, hd, dk);
  }
  __syncthreads();
  store_tile(head, 1, keys, dk);
  store_tile(head, 2, keys, dv);
}

/// Bytes of shared memory for `tiles` tiles of rows and `squares` of scores.
int shared_bytes(const AttentionArgs& a, int tiles, int squares) {
  return int(sizeof(float)) * (tiles * kTile * (int(a.head) + 1) + squares * kTile * kScores);
}

template <class Kernel>
void launch_tiles(Kernel kernel, const AttentionArgs& a, int bytes, const char* name) {
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  const dim3 grid(static_cast<unsigned>(a.B * a.H), static_cast<unsigned>(blocks_for(a.T, kTile)));
  kernel<<<grid, kThreads, static_cast<std::size_t>(bytes), stream()>>>(a);
  launched(name);
}

}  // namespace

void attention_forward(const AttentionArgs& a) {
  if (a.B * a.T == 0) return;
  attention_turns(a);
  if (attention_matrix::fits(a)) {
    attention_matrix::turn_rows(a);
#if FARSIGHT_HOPPER
    if (attention_hopper::takes(a)) return attention_hopper::forward(a);
#endif
    attention_matrix::forward(a);
    return;
  }
  with_device_type(a.type, "attention_forward", [&]<class T>() {
    const int bytes = shared_bytes(a, 4, 1) + int(sizeof(float)) * kTile;
    launch_tiles(attend<T>, a, bytes, "attention_forward");
  });
}

void attention_backward(const AttentionArgs& a) {
  if (a.B * a.T == 0) return;
  if (attention_matrix::fits(a)) {
    attention_matrix::sum_rows(a);
#if FARSIGHT_HOPPER
    if (attention_hopper::takes(a)) return attention_hopper::backward(a);
#endif
    attention_matrix::backward(a);
    return;
  }
  with_device_type(a.type, "attention_backward", [&]<class T>() {
    const int blocks = blocks_for(a.B * a.H * a.T, kThreads / 32);
    sum_dy_y<T><<<blocks, kThreads, 0, stream()>>>(a);
    launched("attention_backward, delta");
    launch_tiles(differentiate_keys<T>, a, shared_bytes(a, 6, 2), "attention_backward, dk and dv");
    launch_tiles(differentiate_queries<T>, a, shared_bytes(a, 5, 2), "attention_backward, dq");
  });
}

}  // namespace farsight::cuda
