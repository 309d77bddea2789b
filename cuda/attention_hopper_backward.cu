// The backward on Hopper, in two kernels without a common sum, as in attention_matrix_backward.cu: seven
// products where one kernel with a sum in memory would have five, but every sum has a fixed order. One
// has 128 queries a block, 64 a warpgroup, and lets their keys pass by (dq); one has 64 keys a block, of
// one warpgroup, and lets the queries that see them pass by (dk, dv). What a block keeps is the left
// operand of its scores and stays in shared memory; P and dS are rounded to bf16 in registers, as left
// operands of the sums. While a warpgroup computes them, the products of the three others on the
// multiprocessor (two for dk and dv, whose sums take twice the registers) fill the tensor cores.
//
// Floor at 12 heads of 64 dims, 32 sequences of 2048: 896 cycles of the tensor cores for every 64 x 64
// scores, 0.78 ms; 512 of the special function units beside them.
#include "cuda/attention_hopper.cuh"

namespace farsight::cuda::attention_hopper {
namespace {

using attention_matrix::kRowFloats;
using attention_matrix::store_rows;

/// A tile that is worked on, one that has come or is about to, one on its way.
constexpr int kStages = 3;
constexpr int kStageSize = 2 * kTileSize;

// ---- dq -----------------------------------------------------------------------------------------------

constexpr int kQueryThreads = 2 * wgmma::kGroup;
constexpr int kQueries = 128;
constexpr int kQueryBytes = (2 * kQueries * wgmma::kRow + kStages * kStageSize) * int(sizeof(bf16));
static_assert(kQueryThreads / 2 * kRowFloats * int(sizeof(float)) <= kQueryBytes);

template <bool kPacked>
__global__ void __launch_bounds__(kQueryThreads, 2)
    differentiate_queries(const __grid_constant__ AttentionArgs a,
                          const __grid_constant__ Order order) {
  extern __shared__ __align__(1024) bf16 shared[];  // [q, dy][kQueries], [kStages][k, v][kTile]
  bf16* const own_q = shared;
  bf16* const own_dy = own_q + kQueries * wgmma::kRow;
  bf16* const stages = own_dy + kQueries * wgmma::kRow;
  const auto stage = [&](int i) { return stages + i % kStages * kStageSize; };
  __shared__ Order::Place kept;  // until the end, when registers are free again
  const Order::Place place = order.place(kQueries, true);
  if (threadIdx.x == 0) kept = place;
  const Head<bf16> head(a, place.b, place.h);
  const int queries = place.first, T = int(a.T);
  const int lane = threadIdx.x % 32, own = int(threadIdx.x) / 32 * 16;
  const int group = wgmma::group_of_thread() * 64, row = queries + own + lane / 4;
  const int first_keys = kPacked ? int(head.start(queries)) / kTile * kTile : 0;
  const int count = (min(queries + kQueries, T) - 1 - first_keys) / kTile + 1;
  const int mine = queries + group < T ? (queries + group - first_keys) / kTile + 1 : 0;
  const float scale = rsqrtf(float(a.head)), scale_log2 = scale * kLog2E;

  Copier<kQueryThreads>(a, part_of(head, 0)).copy<kQueries>(queries, own_q);
  Copier<kQueryThreads>(a, dy_of(head)).copy<kQueries>(queries, own_dy);
  const Copier<kQueryThreads> k_rows(a, part_of(head, 1)), v_rows(a, part_of(head, 2));
  const auto fetch = [&](int i) {
    if (i < count) {
      k_rows.copy<kTile>(first_keys + i * kTile, stage(i));
      v_rows.copy<kTile>(first_keys + i * kTile, stage(i) + kTileSize);
    }
    end_stage();
  };
  fetch(0);  // with the block's own rows
  fetch(1);

  int first[2] = {};
  float lse[2] = {}, delta[2] = {};
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int t = row + half * 8;
    if (t >= T) continue;
    if (kPacked) first[half] = int(head.start(t));
    lse[half] = kLog2E * static_cast<const float*>(a.lse)[head.row(t)];
    delta[half] = static_cast<const float*>(a.delta)[head.row(t)];
  }
  const std::uint64_t q = wgmma::describe(own_q) + wgmma::rows_on(group);
  const std::uint64_t dy = wgmma::describe(own_dy) + wgmma::rows_on(group);
  float s[wgmma::kSums], dp[wgmma::kSums], dq[wgmma::kSums] = {};
#pragma unroll 1
  for (int i = 0; i < count; i++) {
    await_stages<1>();
    wgmma::publish();
    meet<kQueryThreads>();
    fetch(i + 2);  // over tile i - 1, whose products everybody has waited for
    if (i >= mine) continue;
    const std::uint64_t k = wgmma::describe(stage(i)), v = wgmma::describe(stage(i) + kTileSize);
    wgmma::fence();
    wgmma::against_rows(q, k, s);
    wgmma::against_rows(dy, v, dp);
    wgmma::end_group();
    wgmma::await_groups<0>();
    wgmma::settle(s);
    wgmma::settle(dp);
#pragma unroll
    for (int e = 0; e < wgmma::kSums; e++) {
      const int half = e / 2 % 2;
      s[e] = exp2_approx(fmaf(s[e], scale_log2, -lse[half])) * (dp[e] - delta[half]);
    }
    if (kPacked || i == mine - 1) {
      const int keys = first_keys + i * kTile;
#pragma unroll
      for (int e = 0; e < wgmma::kSums; e++) {
        const int key = keys + e / 4 * 8 + lane % 4 * 2 + e % 2, half = e / 2 % 2;
        if (key > row + half * 8 || (kPacked && key < first[half])) s[e] = 0;
      }
    }
    unsigned ds[4][4];
    wgmma::round_to_left(s, ds);
    wgmma::fence();
    wgmma::accumulate(ds, k, dq);
    wgmma::end_group();
    wgmma::await_groups<0>();
    wgmma::settle(dq);
  }
  meet<kQueryThreads>();
  store_rows(Head<bf16>(a, kept.b, kept.h), 0, kept.first + own, reinterpret_cast<float*>(shared),
             [&](int i) { return dq[i] * scale; });
}

// ---- dk, dv -------------------------------------------------------------------------------------------

constexpr int kKeyThreads = wgmma::kGroup;
constexpr int kKeys = 64;
constexpr int kKeyBytes = (2 * kKeys * wgmma::kRow + kStages * kStageSize) * int(sizeof(bf16));
static_assert(kKeyThreads / 2 * kRowFloats * int(sizeof(float)) <= kKeyBytes);

template <bool kPacked>
__global__ void __launch_bounds__(kKeyThreads, 3)
    differentiate_keys(const __grid_constant__ AttentionArgs a,
                       const __grid_constant__ Order order) {
  extern __shared__ __align__(1024) bf16 shared[];  // [k, v][kKeys], [kStages][q, dy][kTile]
  __shared__ float rows_lse[kStages][kTile], rows_delta[kStages][kTile];
  __shared__ int rows_start[kStages][kTile];
  __shared__ Order::Place kept;  // until the end, when registers are free again
  bf16* const own_k = shared;
  bf16* const own_v = own_k + kKeys * wgmma::kRow;
  bf16* const stages = own_v + kKeys * wgmma::kRow;
  const auto stage = [&](int i) { return stages + i % kStages * kStageSize; };
  const Order::Place place = order.place(kKeys, false);
  if (threadIdx.x == 0) kept = place;
  const Head<bf16> head(a, place.b, place.h);
  const int keys = place.first, T = int(a.T);
  const int lane = threadIdx.x % 32, own = int(threadIdx.x) / 32 * 16;
  const int last_key = min(keys + kKeys, T) - 1;
  const int count = (T - 1 - keys) / kTile + 1;
  const float scale = rsqrtf(float(a.head)), scale_log2 = scale * kLog2E;

  Copier<kKeyThreads>(a, part_of(head, 1)).copy<kKeys>(keys, own_k);
  Copier<kKeyThreads>(a, part_of(head, 2)).copy<kKeys>(keys, own_v);
  const Copier<kKeyThreads> q_rows(a, part_of(head, 0)), dy_rows(a, dy_of(head));
  const int column = int(threadIdx.x) % kTile;
  const bool second = threadIdx.x >= kTile;
  const float* const of_rows = static_cast<const float*>(second ? a.delta : a.lse) + head.row(0);
  float* const to_rows = (second ? rows_delta : rows_lse)[0] + column;
  const auto fetch = [&](int i) {
    if (i < count) {
      const int queries = keys + i * kTile, t = queries + column;
      q_rows.copy<kTile>(queries, stage(i));
      dy_rows.copy<kTile>(queries, stage(i) + kTileSize);
      copy_ahead<4>(to_rows + i % kStages * kTile, of_rows + (t < T ? t : 0), t < T);
      if (kPacked && second) rows_start[i % kStages][column] = t < T ? int(head.start(t)) : t + 1;
    }
    end_stage();
  };
  fetch(0);  // with the block's own rows
  fetch(1);

  const std::uint64_t k = wgmma::describe(own_k), v = wgmma::describe(own_v);
  float p[wgmma::kSums], ds[wgmma::kSums], dk[wgmma::kSums] = {}, dv[wgmma::kSums] = {};
#pragma unroll 1
  for (int i = 0; i < count; i++) {
    await_stages<1>();
    wgmma::publish();
    meet<kKeyThreads>();
    const float *const lse = rows_lse[i % kStages], *const delta = rows_delta[i % kStages];
    const int* const start = rows_start[i % kStages];
    if (kPacked && start[0] > last_key) break;  // and so do all that follow
    fetch(i + 2);  // over tile i - 1, whose products everybody has waited for
    const std::uint64_t q = wgmma::describe(stage(i)), dy = wgmma::describe(stage(i) + kTileSize);
    wgmma::fence();
    wgmma::against_rows(k, q, p);  // transposed: rows are keys
    wgmma::against_rows(v, dy, ds);
    wgmma::end_group();
    wgmma::await_groups<0>();
    wgmma::settle(p);
    wgmma::settle(ds);
#pragma unroll
    for (int e = 0; e < wgmma::kSums; e += 4) {
      const int query = e / 4 * 8 + lane % 4 * 2;
      const float2 of_lse = *reinterpret_cast<const float2*>(lse + query);
      const float2 of_delta = *reinterpret_cast<const float2*>(delta + query);
#pragma unroll
      for (int at = e; at < e + 4; at++) {
        const float shift = at % 2 == 1 ? of_lse.y : of_lse.x;
        p[at] = exp2_approx(fmaf(p[at], scale_log2, -kLog2E * shift));
        ds[at] -= at % 2 == 1 ? of_delta.y : of_delta.x;
      }
    }
    if (kPacked || i == 0) {
#pragma unroll
      for (int e = 0; e < wgmma::kSums; e++) {
        const int key = keys + own + lane / 4 + e / 2 % 2 * 8;
        const int query = e / 4 * 8 + lane % 4 * 2 + e % 2;
        if (key > keys + i * kTile + query || (kPacked && key < start[query])) p[e] = 0;
      }
    }
#pragma unroll
    for (int e = 0; e < wgmma::kSums; e++) {
      ds[e] *= p[e];
    }
    unsigned left[4][4], left_ds[4][4];
    wgmma::round_to_left(p, left);
    wgmma::round_to_left(ds, left_ds);
    wgmma::fence();
    wgmma::accumulate(left, dy, dv);
    wgmma::accumulate(left_ds, q, dk);
    wgmma::end_group();
    wgmma::await_groups<0>();
    wgmma::settle(dv);
    wgmma::settle(dk);
  }
  await_stages<0>();  // of tiles that were not looked at
  meet<kKeyThreads>();
  const Head<bf16> same(a, kept.b, kept.h);
  float* const rows = reinterpret_cast<float*>(shared);
  store_rows(same, 1, kept.first + own, rows, [&](int i) { return dk[i] * scale; });
  store_rows(same, 2, kept.first + own, rows, [&](int i) { return dv[i]; });
}

template <class Kernel>
void start(Kernel kernel, const AttentionArgs& a, int rows, int threads, int bytes) {
  const Order order(a, rows);
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  kernel<<<order.blocks(), threads, static_cast<std::size_t>(bytes), stream()>>>(a, order);
}

}  // namespace

void backward(const AttentionArgs& a) {
  const bool packed = a.position != nullptr;
  start(packed ? differentiate_keys<true> : differentiate_keys<false>, a, kKeys, kKeyThreads,
        kKeyBytes);
  launched("attention_backward, warpgroups, dk and dv");
  start(packed ? differentiate_queries<true> : differentiate_queries<false>, a, kQueries,
        kQueryThreads, kQueryBytes);
  launched("attention_backward, warpgroups, dq");
}

}  // namespace farsight::cuda::attention_hopper
