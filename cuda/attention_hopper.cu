// The forward on Hopper. A block has 128 queries of one head, 64 a warpgroup, with their sums in
// registers; keys and values pass by in tiles of 64, and the softmax is kept up to date as they do
// (Milakov and Gimelshein, 2018; Dao, 2023). The tensor cores work on their own: while a warpgroup takes
// the softmax of its scores, the products of the other and of the multiprocessor's second block fill
// them, and a warpgroup's sum over one tile is still under way when its next scores begin.
//
// Floor at 12 heads of 64 dims, 32 sequences of 2048: products of 64 x 64 keep the tensor cores busy for
// 256 cycles and their exponentials the special function units for as many, so 0.22 ms if both always
// are. Keys and values come from the L2 cache (1.7 GB), as long as the blocks of few heads run together.
#include "cuda/attention_hopper.cuh"

namespace farsight::cuda::attention_hopper {
namespace {

constexpr int kThreads = 2 * wgmma::kGroup;
constexpr int kRows = 128;  // of a block
/// Two are on their way while one is worked on and the products of the one before may still be read.
constexpr int kStages = 4;
constexpr int kStageSize = 2 * kTileSize;
static_assert(kStageSize == kRows * wgmma::kRow);
constexpr int kBytes = kStages * kStageSize * int(sizeof(bf16));

/// Over the 4 lanes of a row.
__device__ inline float row_sum(float x) {
  x += __shfl_xor_sync(0xffffffffu, x, 1);
  return x + __shfl_xor_sync(0xffffffffu, x, 2);
}
__device__ inline float row_max(float x) {
  x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
  return fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
}

/// The softmax of a lane's two rows as far as it has come.
struct Softmax {
  float most[2] = {-INFINITY, -INFINITY}, total[2] = {};
  float change[2];  // what the sums of the tiles before the last must be scaled by

  /// Scores of one more tile to probabilities.
  template <bool kPacked>
  __device__ void take(float (&s)[wgmma::kSums], float scale) {
    float highest[2] = {most[0], most[1]}, shift[2];
#pragma unroll
    for (int i = 0; i < wgmma::kSums; i++) {
      highest[i / 2 % 2] = fmaxf(highest[i / 2 % 2], s[i]);
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      highest[half] = row_max(highest[half]);
      // A packed row may see none of the tile.
      shift[half] = kPacked && highest[half] == -INFINITY ? 0.0f : highest[half] * scale;
      change[half] = exp2_approx(fmaf(most[half], scale, -shift[half]));
      most[half] = highest[half];
      total[half] *= change[half];
    }
#pragma unroll
    for (int i = 0; i < wgmma::kSums; i++) {
      s[i] = exp2_approx(fmaf(s[i], scale, -shift[i / 2 % 2]));
      total[i / 2 % 2] += s[i];
    }
  }
  /// The highest score of a row seldom changes after the first tiles.
  __device__ void scale(float (&sum)[wgmma::kSums]) const {
    if (__any_sync(0xffffffffu, change[0] != 1.0f || change[1] != 1.0f)) {
#pragma unroll
      for (int i = 0; i < wgmma::kSums; i++) {
        sum[i] *= change[i / 2 % 2];
      }
    }
  }
};

/// The way back.
__device__ inline void store_left(bf16* tile, int row, const unsigned (&left)[4][4]) {
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const bf16* to = tile + wgmma::swizzled(row + lane % 16, 2 * i + lane / 16);
    store_matrices(shared_address(to), left[i]);
  }
}

/// Writes the outputs and log-sum-exps of a block; the rows go by way of shared memory.
__device__ inline void store(const AttentionArgs& a, const Order::Place& place,
                             const Softmax& softmax, float scale, float (&sum)[wgmma::kSums],
                             bf16* rows) {
  const Head<bf16> head(a, place.b, place.h);
  const int own = int(threadIdx.x) / 32 * 16, lane = threadIdx.x % 32, T = int(a.T);
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const int t = place.first + own + lane / 4 + half * 8;
    const float all = row_sum(softmax.total[half]), factor = reciprocal_approx(all);
    if (lane % 4 == 0 && t < T) {
      static_cast<float*>(a.lse)[head.row(t)] = (softmax.most[half] * scale + log2f(all)) / kLog2E;
    }
#pragma unroll
    for (int e = half * 2; e < wgmma::kSums; e += 4) {
      sum[e] *= factor;
      sum[e + 1] *= factor;
    }
  }
  unsigned left[4][4];
  wgmma::round_to_left(sum, left);
  store_left(rows, own, left);
  __syncwarp();
#pragma unroll
  for (int at = lane; at < 16 * kPieces; at += 32) {
    const int row = own + at / kPieces, piece = at % kPieces, t = place.first + row;
    if (t < T && piece * 8 < int(a.head)) {
      *reinterpret_cast<uint4*>(head.y(t) + piece * 8) =
          *reinterpret_cast<const uint4*>(rows + wgmma::swizzled(row, piece));
    }
  }
}

template <bool kPacked>
__global__ void __launch_bounds__(kThreads, 2)
    attend(const __grid_constant__ AttentionArgs a, const __grid_constant__ Order order) {
  extern __shared__ __align__(1024) bf16 stages[];  // [kStages][k, v][kTile][64]
  const auto stage = [&](int i) { return stages + i % kStages * kStageSize; };
  __shared__ Order::Place kept;  // until the end, when registers are free again
  const Order::Place place = order.place(kRows, true);
  if (threadIdx.x == 0) kept = place;
  const Head<bf16> head(a, place.b, place.h);
  const int queries = place.first, T = int(a.T);
  const int lane = threadIdx.x % 32, own = int(threadIdx.x) / 32 * 16;  // the warp's first row
  const int group = queries + wgmma::group_of_thread() * 64;            // the warpgroup's
  const int row = queries + own + lane / 4;                             // the lane's, and 8 on
  const int first_keys = kPacked ? int(head.start(queries)) / kTile * kTile : 0;
  const int count = (min(queries + kRows, T) - 1 - first_keys) / kTile + 1;
  const int mine =
      group < T ? (group - first_keys) / kTile + 1 : 1;  // tiles that the warpgroup sees
  const float scale = kLog2E * rsqrtf(float(a.head));

  const Copier<kThreads> k_rows(a, part_of(head, 1)), v_rows(a, part_of(head, 2));
  const auto fetch = [&](int i) {
    if (i < count) {
      k_rows.copy<kTile>(first_keys + i * kTile, stage(i));
      v_rows.copy<kTile>(first_keys + i * kTile, stage(i) + kTileSize);
    }
    end_stage();
  };
  Copier<kThreads>(a, part_of(head, 0)).copy<kRows>(queries, stage(3));
  end_stage();
  fetch(0);
  fetch(1);
  await_stages<2>();
  meet<kThreads>();
  unsigned q[4][4], p[4][4];
  load_left(stage(3), own, q);  // tile 3 comes after the first two barriers below

  float s[wgmma::kSums], sum[wgmma::kSums] = {};
  Softmax softmax;
  int first[2] = {};
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (kPacked && row + 8 * half < T) first[half] = int(head.start(row + 8 * half));
  }
  const auto arrive = [&](int i) {
    await_stages<1>();
    wgmma::publish();
    meet<kThreads>();
    fetch(i + 2);  // over tile i - 2, whose products everybody has waited for
  };
  const auto take = [&](int i) {
    const int keys = first_keys + i * kTile;
    if (kPacked || keys == group) {
#pragma unroll
      for (int e = 0; e < wgmma::kSums; e++) {
        const int key = keys + e / 4 * 8 + lane % 4 * 2 + e % 2, half = e / 2 % 2;
        if (key > row + half * 8 || (kPacked && key < first[half])) s[e] = -INFINITY;
      }
    }
    softmax.take<kPacked>(s, scale);
  };
  arrive(0);
  wgmma::fence();
  wgmma::against_rows(q, wgmma::describe(stage(0)), s);
  wgmma::end_group();
  wgmma::await_groups<0>();
  wgmma::settle(s);
  take(0);
  wgmma::round_to_left(s, p);
  // The sum over one tile is under way while the softmax of the next one is taken. A warpgroup that has
  // seen all its tiles goes on to meet the other, from the same place: the barrier is one of the block.
#pragma unroll 1
  for (int i = 1; i <= count; i++) {
    if (i < count) arrive(i);
    if (i < mine) {
      wgmma::fence();
      wgmma::against_rows(q, wgmma::describe(stage(i)), s);
      wgmma::end_group();
      wgmma::accumulate(p, wgmma::describe(stage(i - 1) + kTileSize), sum);
      wgmma::end_group();
      wgmma::await_groups<1>();
      wgmma::settle(s);
      take(i);
      wgmma::settle(s);  // or the compiler waits first
      wgmma::await_groups<0>();
      wgmma::settle(sum);
      softmax.scale(sum);
      wgmma::round_to_left(s, p);
    } else if (i == mine) {  // while its last tile is still there
      wgmma::fence();
      wgmma::accumulate(p, wgmma::describe(stage(i - 1) + kTileSize), sum);
      wgmma::end_group();
      wgmma::await_groups<0>();
      wgmma::settle(sum);
    }
  }

  store(a, kept, softmax, scale, sum, stage(count + 1));  // a stage that nobody reads any more
}

}  // namespace

bool takes(const AttentionArgs& a) {
  return compute_capability() == 90 && a.T > kTile;  // of one tile a block's second group has none
}

void forward(const AttentionArgs& a) {
  const Order order(a, kRows);
  const auto start = [&](auto kernel) {
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
    kernel<<<order.blocks(), kThreads, kBytes, stream()>>>(a, order);
  };
  start(a.position != nullptr ? attend<true> : attend<false>);
  launched("attention_forward, warpgroups");
}

}  // namespace farsight::cuda::attention_hopper
