// The forward on tensor cores. A block has 64 or 128 queries of one head, with their sums in registers;
// the keys and values pass by in tiles, and the softmax is kept up to date as they do (Milakov and
// Gimelshein, 2018; Dao, 2023). Scores, softmax and sums are f32; the probabilities are rounded to bf16
// as left operands.
//
// With twice 16 queries a warp reads an operand from shared memory for two products. Floor at 12 heads
// of 64 dims, 32 sequences of 2048: 206 GFLOP, 0.35 ms at the 600 TFLOP/s of mma.sync; half of the
// exponentials' 0.22 ms beside it.
#include "cuda/attention_matrix.cuh"

namespace farsight::cuda::attention_matrix {
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

/// Eight leading dims of q' or k' a thread.
__global__ void __launch_bounds__(256) turn(const __grid_constant__ AttentionArgs a) {
  const int pieces = int(a.turned_dims) / 8;
  const std::int64_t at = std::int64_t(blockIdx.x) * 256 + threadIdx.x;
  if (at >= a.B * a.T * a.H * 2 * pieces) return;
  const int first = int(at % pieces) * 8, part = int(at / pieces % 2);
  const std::int64_t head_of_token = at / pieces / 2, token = head_of_token / a.H;
  const std::int64_t t = token % a.T;
  const Head<bf16> head(a, token / a.T * a.H + head_of_token % a.H);
  const bf16* x = head.qkv(t, part);
  const int half = int(a.rotary / 2);
  float y[8];
  if (half % 8 == 0 && first < a.rotary) {
    const bool low = first < half;
    const int pair = low ? first : first - half;
    const float* turns =
        static_cast<const float*>(a.turns) + head.position(t) * a.rotary + 2 * pair;
    float other[8];
    load_elements<8>(x + first, y);
    load_elements<8>(x + (low ? first + half : first - half), other);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      const float sine = turns[2 * k + 1];
      y[k] = y[k] * turns[2 * k] + other[k] * (low ? -sine : sine);
    }
  } else {
#pragma unroll
    for (int k = 0; k < 8; k++) {
      y[k] = head.turned(t, x, first + k);
    }
  }
  store_elements<8>(head.turned_row(t, part) + first, y);
}

/// kM: a warp has 16 kM queries.
template <int kM, bool kPacked>
__global__ void __launch_bounds__(kThreads, kM == 1 ? 3 : 2)
    attend(const __grid_constant__ AttentionArgs a) {
  constexpr int kRows = 64 * kM;
  __shared__ uint4 storage[4 * kTile * kPitch / 8];  // [two stages][k, v]
  bf16* const tiles = reinterpret_cast<bf16*>(storage);
  const auto stage = [&](int i) { return tiles + i % 2 * 2 * kTile * kPitch; };
  const Head<bf16> head(a, blockIdx.x);
  // The longest rows first: the last blocks to start are the quickest.
  const int queries = int(gridDim.y - 1 - blockIdx.y) * kRows;
  const int lane = threadIdx.x % 32, own = int(threadIdx.x) / 32 * 16 * kM;  // the warp's first row
  const int first_keys = kPacked ? int(head.start(queries)) / kTile * kTile : 0;
  const int count = (min(queries + kRows, int(a.T)) - 1 - first_keys) / kTile + 1;
  const float scale = kLog2E * rsqrtf(float(a.head));

  const Source k_rows = part_of(head, 1), v_rows = part_of(head, 2);
  const auto fetch = [&](int i) {
    if (i < count) {
      copy_rows<kTile>(a, k_rows, first_keys + i * kTile, stage(i));
      copy_rows<kTile>(a, v_rows, first_keys + i * kTile, stage(i) + kTile * kPitch);
    }
    end_stage();
  };
  copy_rows<kRows>(a, part_of(head, 0), queries, stage(1));
  end_stage();
  fetch(0);
  await_stages<1>();
  __syncthreads();
  unsigned q[kM][kHead / 16][4];
#pragma unroll
  for (int m = 0; m < kM; m++) {
    load_left(stage(1), own + m * 16, q[m]);
  }

  float sum[kM][kHead / 8][4] = {}, most[kM][2], total[kM][2];
  int first[kM][2];
#pragma unroll
  for (int i = 0; i < kM * 2; i++) {
    const int t = queries + own + i / 2 * 16 + lane / 4 + i % 2 * 8;
    first[i / 2][i % 2] = kPacked && t < int(a.T) ? int(head.start(t)) : 0;
    most[i / 2][i % 2] = -INFINITY;
    total[i / 2][i % 2] = 0;
  }
#pragma unroll 1
  for (int i = 0; i < count; i++) {
    await_stages<0>();
    __syncthreads();
    fetch(i + 1);
    const int keys = first_keys + i * kTile;
    if (keys > queries + own + 16 * kM - 1) continue;  // the warp sees none of them
    const unsigned k_rows_at = rows_address(stage(i));
    const unsigned v_columns = columns_address(stage(i) + kTile * kPitch);
    Slice<kM> s[kSlices];
#pragma unroll
    for (int j = 0; j < kSlices; j++) {
      against_rows<kM>(q, k_rows_at + unsigned(j) * kSliceBytes, s[j]);
    }
    if (kPacked || keys + kTile > queries + own) {
#pragma unroll
      for (int at = 0; at < kSlices * kM * 8; at++) {
        const int j = at / (kM * 8), m = at / 8 % kM, e = at / 4 % 2, k = at % 4;
        const int key = keys + j * 16 + e * 8 + lane % 4 * 2 + k % 2;
        const int t = queries + own + m * 16 + lane / 4 + k / 2 * 8;
        if (key > t || (kPacked && key < first[m][k / 2])) s[j][m][e][k] = -INFINITY;
      }
    }
#pragma unroll
    for (int m = 0; m < kM; m++) {
      float highest[2] = {most[m][0], most[m][1]}, shift[2], change[2];
#pragma unroll
      for (int at = 0; at < kSlices * 8; at++) {
        const int half = at / 2 % 2;
        highest[half] = fmaxf(highest[half], s[at / 8][m][at / 4 % 2][at % 4]);
      }
#pragma unroll
      for (int half = 0; half < 2; half++) {
        highest[half] = row_max(highest[half]);
        // A packed row may see none of the tile.
        shift[half] = kPacked && highest[half] == -INFINITY ? 0.0f : highest[half] * scale;
        change[half] = exp2_approx(fmaf(most[m][half], scale, -shift[half]));
        most[m][half] = highest[half];
      }
      // After the first tiles the highest score of a row seldom changes.
      if (__any_sync(0xffffffffu, change[0] != 1.0f || change[1] != 1.0f)) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          total[m][half] *= change[half];
#pragma unroll
          for (int d = 0; d < kHead / 8; d++) {
            sum[m][d][2 * half] *= change[half];
            sum[m][d][2 * half + 1] *= change[half];
          }
        }
      }
#pragma unroll
      for (int at = 0; at < kSlices * 8; at++) {
        const int half = at / 2 % 2;
        float& p = s[at / 8][m][at / 4 % 2][at % 4];
        p = exp2_approx(fmaf(p, scale, -shift[half]));
        total[m][half] += p;
      }
    }
#pragma unroll
    for (int j = 0; j < kSlices; j++) {
      accumulate<kM>(s[j], v_columns + unsigned(j) * kSliceBytes, sum);
    }
  }

#pragma unroll
  for (int i = 0; i < kM * 2; i++) {
    const int m = i / 2, half = i % 2, t = queries + own + m * 16 + lane / 4 + half * 8;
    const float all = row_sum(total[m][half]);
    if (t >= int(a.T)) continue;
    if (lane % 4 == 0) {
      static_cast<float*>(a.lse)[head.row(t)] = (most[m][half] * scale + log2f(all)) / kLog2E;
    }
    const float factor = 1.0f / all;
#pragma unroll
    for (int d = 0; d < kHead / 8; d++) {
      const int column = d * 8 + lane % 4 * 2;
      if (column < int(a.head)) {
        *reinterpret_cast<unsigned*>(head.y(t) + column) =
            pack(sum[m][d][2 * half] * factor, sum[m][d][2 * half + 1] * factor);
      }
    }
  }
}

}  // namespace

void turn_rows(const AttentionArgs& a) {
  if (a.turned_dims == 0) return;
  turn<<<blocks_for(a.B * a.T * a.H * 2 * (a.turned_dims / 8), 256), 256, 0, stream()>>>(a);
  launched("attention_forward, rotation");
}

void forward(const AttentionArgs& a) {
  const bool few = a.T <= kTile;
  const dim3 grid(static_cast<unsigned>(a.B * a.H),
                  static_cast<unsigned>(blocks_for(a.T, few ? kTile : 2 * kTile)));
  const auto start = [&](auto kernel) { kernel<<<grid, kThreads, 0, stream()>>>(a); };
  if (a.position != nullptr) {
    start(few ? attend<1, true> : attend<2, true>);
  } else {
    start(few ? attend<1, false> : attend<2, false>);
  }
  launched("attention_forward, tensor cores");
}

}  // namespace farsight::cuda::attention_matrix
