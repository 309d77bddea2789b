// The weights of softmax attention, tile by tile (weight_matrix.cuh), a head as a channel: scores are
// a product over its dims, 16 at a time in shared memory, in f32.
#include "ops/attention_weights.h"

#include "cuda/weight_matrix.cuh"

namespace farsight::cuda {
namespace {

class SoftmaxWeigher {
 public:
  static constexpr int kChunk = 1;
  static constexpr int kGroup = 16;  // dims at a time
  struct alignas(16) Shared {
    float q[kGroup][kMatrixRow], k[kGroup][kMatrixRow];
    float lse[kMatrixTile];
  };

  __device__ SoftmaxWeigher(const AttentionWeightsArgs& a, const MatrixTile& tile, Shared& shared)
      : a_(a), tile_(tile), shared_(shared) {}

  __device__ void stage(int head, int) {
    head_ = head;
    const int i = int(threadIdx.x), t = tile_.t + i;
    if (i < kMatrixTile) {
      shared_.lse[i] =
          t < tile_.end ? static_cast<const float*>(a_.lse)[head * a_.matrix.T + t] : 0.0f;
    }
  }

  __device__ void weigh(int, float (&w)[4][4]) {
    float scores[4][4] = {};
    for (int dim = 0; dim < a_.head; dim += kGroup) {
      __syncthreads();  // the dims before are read
      for (int i = int(threadIdx.x); i < kGroup * kMatrixTile; i += kMatrixThreads) {
        const int step = i / kGroup, of = i % kGroup;
        shared_.q[of][step] = turned(0, tile_.t + step, dim + of);
        shared_.k[of][step] = turned(1, tile_.s + step, dim + of);
      }
      __syncthreads();
      add_products<kGroup>(shared_.q, shared_.k, place_, scores);
    }
    const float scale = rsqrtf(float(a_.head)) * kLog2E;
    const int since = tile_.t + place_.row - tile_.s - place_.column;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float lse = shared_.lse[place_.row + i] * kLog2E;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        if (since + i - j >= 0) w[i][j] += exp2_approx(fmaf(scores[i][j], scale, -lse));
      }
    }
  }

 private:
  /// Dim i of a token's q' (part 0) or k' (1); 0 where there is none.
  __device__ float turned(int part, int t, int i) const {
    if (t >= tile_.end || i >= a_.head) return 0.0f;
    const std::int64_t row = (t * a_.H + head_) * 3 + part;
    const float* x = static_cast<const float*>(a_.qkv) + row * a_.head;
    const int half = int(a_.rotary / 2);
    if (i >= a_.rotary) return x[i];
    const int pair = i < half ? i : i - half;
    const float* turns = static_cast<const float*>(a_.turns) + t * a_.rotary + 2 * pair;
    const float other = x[i < half ? i + half : i - half];
    return x[i] * turns[0] + (i < half ? -other : other) * turns[1];
  }

  const AttentionWeightsArgs& a_;
  const MatrixTile& tile_;
  Shared& shared_;
  MatrixPlace place_;
  int head_ = 0;
};

__global__ void __launch_bounds__(kMatrixThreads, 2)
    weigh(const __grid_constant__ AttentionWeightsArgs a) {
  __shared__ SoftmaxWeigher::Shared shared;
  const MatrixTile tile(a.matrix);
  if (tile.above()) return;
  SoftmaxWeigher weigher(a, tile, shared);
  sum_tile(a.matrix, tile, weigher);
}

}  // namespace

void attention_weights(const AttentionWeightsArgs& a) {
  if (a.matrix.type != DType::f32) unsupported("attention_weights", "f64");
  weigh<<<matrix_grid(a.matrix), kMatrixThreads, 0, stream()>>>(a);
  launched("attention_weights");
  finish_matrix(a.matrix);
}

}  // namespace farsight::cuda
