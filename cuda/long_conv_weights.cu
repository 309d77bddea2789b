// The matrices of a gated long convolution, tile by tile (weight_matrix.cuh): two products an entry
// and channel. A tile reads 127 taps of a channel, those of its diagonals.
#include "ops/long_conv_weights.h"

#include "cuda/weight_matrix.cuh"

namespace farsight::cuda {
namespace {

class ConvWeigher {
 public:
  static constexpr int kChunk = 16;
  static constexpr int kTaps = 2 * kMatrixTile;  // the last is never read
  struct alignas(16) Shared {
    float post[kChunk][kMatrixRow], pre[kChunk][kMatrixRow];
    float k[kChunk][kTaps + 1];
    float bias[kChunk];
  };

  __device__ ConvWeigher(const LongConvWeightsArgs& a, const MatrixTile& tile, Shared& shared)
      : a_(a), tile_(tile), shared_(shared) {}

  __device__ void stage(int c, int count) {
    stage_steps<kChunk>(shared_.post, a_.post, a_.D, tile_.t, tile_.end, c, count);
    stage_steps<kChunk>(shared_.pre, a_.pre, a_.D, tile_.s, tile_.end, c, count);
    // Tap i is that of t - s = i + first; what lies above the diagonal or beyond the kernel is 0.
    const int first = tile_.t - tile_.s - (kMatrixTile - 1);
    for (int i = int(threadIdx.x); i < kTaps * kChunk; i += kMatrixThreads) {
      const int tap = i / kChunk, channel = i % kChunk, since = first + tap;
      const bool there = since >= 0 && since < a_.K && channel < count;
      shared_.k[channel][tap] =
          there ? static_cast<const float*>(a_.k)[since * a_.D + c + channel] : 0.0f;
    }
    const int i = int(threadIdx.x);
    if (i < count) shared_.bias[i] = static_cast<const float*>(a_.bias)[c + i];
  }

  __device__ void weigh(int channel, float (&w)[4][4]) {
    float post[4], pre[4];
    load_four(&shared_.post[channel][place_.row], post);
    load_four(&shared_.pre[channel][place_.column], pre);
    const float* taps = shared_.k[channel] + place_.row - place_.column + kMatrixTile - 1;
    const int since = tile_.t + place_.row - tile_.s - place_.column;
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        const float k = taps[i - j] + (since + i - j == 0 ? shared_.bias[channel] : 0.0f);
        w[i][j] += post[i] * k * pre[j];
      }
    }
  }

 private:
  const LongConvWeightsArgs& a_;
  const MatrixTile& tile_;
  Shared& shared_;
  MatrixPlace place_;
};

__global__ void __launch_bounds__(kMatrixThreads, 2)
    weigh(const __grid_constant__ LongConvWeightsArgs a) {
  __shared__ ConvWeigher::Shared shared;
  const MatrixTile tile(a.matrix);
  if (tile.above()) return;
  ConvWeigher weigher(a, tile, shared);
  sum_tile(a.matrix, tile, weigher);
}

}  // namespace

void long_conv_weights(const LongConvWeightsArgs& a) {
  if (a.matrix.type != DType::f32) unsupported("long_conv_weights", "f64");
  weigh<<<matrix_grid(a.matrix), kMatrixThreads, 0, stream()>>>(a);
  launched("long_conv_weights");
  finish_matrix(a.matrix);
}

}  // namespace farsight::cuda
