// The weights of WKV, tile by tile (weight_matrix.cuh): one exponential an entry and channel.
// Floor: T^2 / 2 x channels exponentials; T = 512, 1024 channels on an H100: 0.04 ms.
#include "ops/wkv_weights.h"

#include "cuda/weight_matrix.cuh"

namespace farsight::cuda {
namespace {

/// log2 Q of every step: a thread walks a channel. In f64, because a sum that fades by nearly the
/// same factor at every step would be off by as many roundings of that factor.
__global__ void __launch_bounds__(32) normalise(const __grid_constant__ WkvWeightsArgs a) {
  constexpr int kAhead = 8;
  const std::int64_t d = std::int64_t(blockIdx.x) * 32 + threadIdx.x;
  if (d >= a.D) return;
  const double w = -exp(double(static_cast<const float*>(a.decay)[d]));
  const double first = static_cast<const float*>(a.first)[d];
  const float* from = static_cast<const float*>(a.k) + d;
  float* to = static_cast<float*>(a.log_q) + d;
  double most = kWkvNothing, sum = 0;
  const std::int64_t steps = a.matrix.row + a.matrix.rows;
  for (std::int64_t t = 0; t < steps; t += kAhead) {
    float x[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; i++) {
      x[i] = t + i < steps ? from[(t + i) * a.D] : 0.0f;
    }
    for (int i = 0; i < kAhead && t + i < steps; i++) {
      const double k = x[i], all = fmax(most, first + k);
      const double q = exp(most - all) * sum + exp(first + k - all);
      to[(t + i) * a.D] = float((all + log(q)) * 1.4426950408889634);
      const double next = fmax(most + w, k);
      sum = exp(most + w - next) * sum + exp(k - next);
      most = next;
    }
  }
}

class WkvWeigher {
 public:
  static constexpr int kChunk = 16;
  struct alignas(16) Shared {
    float log_q[kChunk][kMatrixRow], k[kChunk][kMatrixRow];
    float w[kChunk], first[kChunk];
  };

  __device__ WkvWeigher(const WkvWeightsArgs& a, const MatrixTile& tile, Shared& shared)
      : a_(a), tile_(tile), shared_(shared) {}

  __device__ void stage(int c, int count) {
    stage_steps<kChunk>(shared_.log_q, a_.log_q, a_.D, tile_.t, tile_.end, c, count);
    stage_steps<kChunk>(shared_.k, a_.k, a_.D, tile_.s, tile_.end, c, count);
    const int i = int(threadIdx.x);
    if (i < count) {
      shared_.w[i] = -expf(static_cast<const float*>(a_.decay)[c + i]) * kLog2E;
      shared_.first[i] = static_cast<const float*>(a_.first)[c + i] * kLog2E;
    }
  }

  __device__ void weigh(int channel, float (&out)[4][4]) {
    float log_q[4], k[4];
    load_four(&shared_.log_q[channel][place_.row], log_q);
    load_four(&shared_.k[channel][place_.column], k);
    const float w = shared_.w[channel], first = shared_.first[channel];
    const int t = tile_.t + place_.row, s = tile_.s + place_.column;
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const int since = (t + i) - (s + j);
        const float aged = since > 0 ? float(since - 1) * w : first;
        const float weight = exp2_approx(aged + fmaf(k[j], kLog2E, -log_q[i]));
        if (since >= 0) out[i][j] += weight;
      }
    }
  }

 private:
  const WkvWeightsArgs& a_;
  const MatrixTile& tile_;
  Shared& shared_;
  MatrixPlace place_;
};

__global__ void __launch_bounds__(kMatrixThreads, 2)
    weigh(const __grid_constant__ WkvWeightsArgs a) {
  __shared__ WkvWeigher::Shared shared;
  const MatrixTile tile(a.matrix);
  if (tile.above()) return;
  WkvWeigher weigher(a, tile, shared);
  sum_tile(a.matrix, tile, weigher);
}

}  // namespace

void wkv_weights(const WkvWeightsArgs& a) {
  if (a.matrix.type != DType::f32) unsupported("wkv_weights", "f64");
  normalise<<<blocks_for(a.D, 32), 32, 0, stream()>>>(a);
  launched("wkv_weights, sums");
  weigh<<<matrix_grid(a.matrix), kMatrixThreads, 0, stream()>>>(a);
  launched("wkv_weights");
  finish_matrix(a.matrix);
}

}  // namespace farsight::cuda
