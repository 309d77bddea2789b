// The backward on tensor cores, in two kernels without a common sum: one has 64 or 128 keys of a
// head and lets the queries that see them pass by (dk, dv), one has as many queries and lets their keys
// pass by (dq). Each computes P again from the log-sum-exp; dS and P are rounded to bf16 as left
// operands, sums are f32. Seven products where one kernel with a sum in memory would have five, but no
// gradient is added by two blocks, so that the order of every sum is fixed.
//
// Floor at 12 heads of 64 dims, 32 sequences of 2048: 721 GFLOP, 1.2 ms at the 600 TFLOP/s of mma.sync;
// operands from shared memory, one read for two products: 0.8 ms.
#include "cuda/attention_matrix.cuh"

namespace farsight::cuda::attention_matrix {
namespace {

template <int kM>
using Left = unsigned[kM][kHead / 16][4];  // kM times 16 rows

/// rowsum(dy y): eight lanes a token of a head.
__global__ void __launch_bounds__(256) sum_dy_y(const __grid_constant__ AttentionArgs a) {
  const std::int64_t at = (std::int64_t(blockIdx.x) * 256 + threadIdx.x) / 8;  // [B, T, H]
  const bool there = at < a.B * a.T * a.H;
  const std::int64_t token = there ? at / a.H : 0, t = token % a.T;
  const Head<bf16> head(a, token / a.T * a.H + (there ? at % a.H : 0));
  const int i = threadIdx.x % 8 * 8;
  float sum = 0;
  if (there && i < a.head) {
    float dy[8], y[8];
    load_elements<8>(head.dy(t) + i, dy);
    load_elements<8>(head.y(t) + i, y);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      sum += dy[k] * y[k];
    }
  }
  sum = warp_sum<8>(sum);
  if (there && i == 0) static_cast<float*>(a.delta)[head.row(t)] = sum;
}

/// The rows of two operands that a block keeps; for all its threads. Uses all of `tiles`.
template <int kM>
__device__ inline void load_own(const AttentionArgs& a, const Source& from, const Source& other,
                                int first, bf16* tiles, Left<kM>& rows, Left<kM>& others) {
  constexpr int kRows = 64 * kM;
  const int own = int(threadIdx.x) / 32 * 16 * kM;
  copy_rows<kRows>(a, from, first, tiles);
  copy_rows<kRows>(a, other, first, tiles + kRows * kPitch);
  end_stage();
  await_stages<0>();
  __syncthreads();
#pragma unroll
  for (int m = 0; m < kM; m++) {
    load_left(tiles, own + m * 16, rows[m]);
    load_left(tiles + kRows * kPitch, own + m * 16, others[m]);
  }
  __syncthreads();
}

template <int kM, bool kPacked>
__global__ void __launch_bounds__(kThreads, kM == 1 ? 3 : 2)
    differentiate_queries(const __grid_constant__ AttentionArgs a) {
  constexpr int kRows = 64 * kM;
  __shared__ uint4 storage[4 * kTile * kPitch / 8];  // [two stages][k, v]
  bf16* const tiles = reinterpret_cast<bf16*>(storage);
  const auto stage = [&](int i) { return tiles + i % 2 * 2 * kTile * kPitch; };
  const Head<bf16> head(a, blockIdx.x);
  const int queries = int(gridDim.y - 1 - blockIdx.y) * kRows;
  const int lane = threadIdx.x % 32, own = int(threadIdx.x) / 32 * 16 * kM;
  const int first_keys = kPacked ? int(head.start(queries)) / kTile * kTile : 0;
  const int count = (min(queries + kRows, int(a.T)) - 1 - first_keys) / kTile + 1;
  const float scale = rsqrtf(float(a.head)), scale_log2 = scale * kLog2E;

  Left<kM> q, dy;
  load_own<kM>(a, part_of(head, 0), dy_of(head), queries, tiles, q, dy);
  const Source k_rows = part_of(head, 1), v_rows = part_of(head, 2);
  const auto fetch = [&](int i) {
    if (i < count) {
      copy_rows<kTile>(a, k_rows, first_keys + i * kTile, stage(i));
      copy_rows<kTile>(a, v_rows, first_keys + i * kTile, stage(i) + kTile * kPitch);
    }
    end_stage();
  };
  fetch(0);

  int first[kM][2];
  float lse[kM][2] = {}, delta[kM][2] = {};
#pragma unroll
  for (int i = 0; i < kM * 2; i++) {
    const int m = i / 2, half = i % 2, t = queries + own + m * 16 + lane / 4 + half * 8;
    first[m][half] = 0;
    if (t < int(a.T)) {
      if (kPacked) first[m][half] = int(head.start(t));
      lse[m][half] = kLog2E * static_cast<const float*>(a.lse)[head.row(t)];
      delta[m][half] = static_cast<const float*>(a.delta)[head.row(t)];
    }
  }
  float dq[kM][kHead / 8][4] = {};
#pragma unroll 1
  for (int i = 0; i < count; i++) {
    await_stages<0>();
    __syncthreads();
    fetch(i + 1);
    const int keys = first_keys + i * kTile;
    if (keys > queries + own + 16 * kM - 1) continue;  // the warp sees none of them
    const bool all_seen = !kPacked && keys + kTile <= queries + own;
    const unsigned k_rows_at = rows_address(stage(i)), k_columns = columns_address(stage(i));
    const unsigned v_rows_at = rows_address(stage(i) + kTile * kPitch);
#pragma unroll
    for (int j = 0; j < kSlices; j++) {
      Slice<kM> s, dp;
      against_rows<kM>(q, k_rows_at + unsigned(j) * kSliceBytes, s);
      against_rows<kM>(dy, v_rows_at + unsigned(j) * kSliceBytes, dp);
#pragma unroll
      for (int at = 0; at < kM * 8; at++) {
        const int m = at / 8, half = at / 2 % 2;
        float& x = s[m][at / 4 % 2][at % 4];
        const float p = exp2_approx(fmaf(x, scale_log2, -lse[m][half]));
        x = p * (dp[m][at / 4 % 2][at % 4] - delta[m][half]);
      }
      if (!all_seen) {
#pragma unroll
        for (int at = 0; at < kM * 8; at++) {
          const int m = at / 8, half = at / 2 % 2;
          const int key = keys + j * 16 + at / 4 % 2 * 8 + lane % 4 * 2 + at % 2;
          const int t = queries + own + m * 16 + lane / 4 + half * 8;
          if (key > t || (kPacked && key < first[m][half])) s[m][at / 4 % 2][at % 4] = 0;
        }
      }
      accumulate<kM>(s, k_columns + unsigned(j) * kSliceBytes, dq);
    }
  }
  __syncthreads();
#pragma unroll
  for (int m = 0; m < kM; m++) {
    store_rows(head, 0, queries + own + m * 16, reinterpret_cast<float*>(storage),
               [&](int i) { return dq[m][i / 4][i % 4] * scale; });
  }
}

template <int kM, bool kPacked>
__global__ void __launch_bounds__(kThreads, kM == 1 ? 3 : 2)
    differentiate_keys(const __grid_constant__ AttentionArgs a) {
  constexpr int kRows = 64 * kM;
  __shared__ uint4 storage[4 * kTile * kPitch / 8];  // [two stages][q, dy]
  __shared__ float rows_lse[2][kTile], rows_delta[2][kTile];
  __shared__ int rows_start[2][kTile];
  bf16* const tiles = reinterpret_cast<bf16*>(storage);
  const auto stage = [&](int i) { return tiles + i % 2 * 2 * kTile * kPitch; };
  const Head<bf16> head(a, blockIdx.x);
  const int keys = int(blockIdx.y) * kRows, T = int(a.T);
  const int lane = threadIdx.x % 32, own = int(threadIdx.x) / 32 * 16 * kM;
  const int last_key = min(keys + kRows, T) - 1;
  const int count = (T - 1 - keys) / kTile + 1;
  const float scale = rsqrtf(float(a.head)), scale_log2 = scale * kLog2E;

  Left<kM> k, v;
  load_own<kM>(a, part_of(head, 1), part_of(head, 2), keys, tiles, k, v);
  const Source q_rows = part_of(head, 0), dy_rows = dy_of(head);
  const float* const lse = static_cast<const float*>(a.lse) + head.row(0);
  const float* const delta = static_cast<const float*>(a.delta) + head.row(0);
  const auto fetch = [&](int i) {
    if (i < count) {
      const int queries = keys + i * kTile;
      copy_rows<kTile>(a, q_rows, queries, stage(i));
      copy_rows<kTile>(a, dy_rows, queries, stage(i) + kTile * kPitch);
      const int row = int(threadIdx.x) % kTile, t = queries + row;
      const bool second = threadIdx.x >= kTile, there = t < T;
      copy_ahead<4>((second ? rows_delta : rows_lse)[i % 2] + row,
                    (second ? delta : lse) + (there ? t : 0), there);
      if (kPacked && second) rows_start[i % 2][row] = there ? int(head.start(t)) : t + 1;
    }
    end_stage();
  };
  fetch(0);

  float dk[kM][kHead / 8][4] = {}, dv[kM][kHead / 8][4] = {};
#pragma unroll 1
  for (int i = 0; i < count; i++) {
    await_stages<0>();
    __syncthreads();
    if (kPacked && rows_start[i % 2][0] > last_key) break;  // and so do all that follow
    fetch(i + 1);
    const int queries = keys + i * kTile;
    if (queries + kTile <= keys + own) continue;  // none of them sees the warp's keys
    const bool all_see = !kPacked && queries >= keys + own + 16 * kM - 1;
    const unsigned q_rows_at = rows_address(stage(i)), q_columns = columns_address(stage(i));
    const unsigned dy_rows_at = rows_address(stage(i) + kTile * kPitch);
    const unsigned dy_columns = columns_address(stage(i) + kTile * kPitch);
#pragma unroll
    for (int j = 0; j < kSlices; j++) {
      const unsigned slice = unsigned(j) * kSliceBytes;
      Slice<kM> p, ds;  // transposed: rows are keys
      against_rows<kM>(k, q_rows_at + slice, p);
      against_rows<kM>(v, dy_rows_at + slice, ds);
#pragma unroll
      for (int e = 0; e < 2; e++) {
        const int column = j * 16 + e * 8 + lane % 4 * 2;
        const float2 of_lse = *reinterpret_cast<const float2*>(&rows_lse[i % 2][column]);
        const float2 of_delta = *reinterpret_cast<const float2*>(&rows_delta[i % 2][column]);
#pragma unroll
        for (int at = 0; at < kM * 4; at++) {
          const bool second = at % 2 == 1;
          float &x = p[at / 4][e][at % 4], &y = ds[at / 4][e][at % 4];
          x = exp2_approx(fmaf(x, scale_log2, -kLog2E * (second ? of_lse.y : of_lse.x)));
          y -= second ? of_delta.y : of_delta.x;
        }
        if (!all_see) {
#pragma unroll
          for (int at = 0; at < kM * 4; at++) {
            const int key = keys + own + at / 4 * 16 + lane / 4 + at / 2 % 2 * 8;
            const int query = column + at % 2;
            if (key > queries + query || (kPacked && key < rows_start[i % 2][query])) {
              p[at / 4][e][at % 4] = 0;
            }
          }
        }
#pragma unroll
        for (int at = 0; at < kM * 4; at++) {
          ds[at / 4][e][at % 4] *= p[at / 4][e][at % 4];
        }
      }
      accumulate<kM>(p, dy_columns + slice, dv);
      accumulate<kM>(ds, q_columns + slice, dk);
    }
  }
  __syncthreads();
  float* const shared = reinterpret_cast<float*>(storage);
#pragma unroll
  for (int m = 0; m < kM; m++) {
    const int first = keys + own + m * 16;
    store_rows(head, 1, first, shared, [&](int i) { return dk[m][i / 4][i % 4] * scale; });
    store_rows(head, 2, first, shared, [&](int i) { return dv[m][i / 4][i % 4]; });
  }
}

}  // namespace

void sum_rows(const AttentionArgs& a) {
  sum_dy_y<<<blocks_for(a.B * a.T * a.H, 256 / 8), 256, 0, stream()>>>(a);
  launched("attention_backward, delta");
}

void backward(const AttentionArgs& a) {
  const bool few = a.T <= kTile, packed = a.position != nullptr;
  const dim3 grid(static_cast<unsigned>(a.B * a.H),
                  static_cast<unsigned>(blocks_for(a.T, few ? kTile : 2 * kTile)));
  const auto start = [&](auto kernel) { kernel<<<grid, kThreads, 0, stream()>>>(a); };
  if (packed) {
    start(few ? differentiate_keys<1, true> : differentiate_keys<2, true>);
    start(few ? differentiate_queries<1, true> : differentiate_queries<2, true>);
  } else {
    start(few ? differentiate_keys<1, false> : differentiate_keys<2, false>);
    start(few ? differentiate_queries<1, false> : differentiate_queries<2, false>);
  }
  launched("attention_backward, tensor cores");
}

}  // namespace farsight::cuda::attention_matrix
