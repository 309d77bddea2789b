// The gradient of the long convolution's taps on tensor cores, bf16: see long_conv_matrix.cuh for the
// sum.
//
// A block has a share of the rows of its channels. dk of all lags stays in registers while the rows pass
// through shared memory, and goes to partial[share] at the end.
//
// Floor: v, pre, post and dy read, 4 B T D elements: 0.15 ms at 65,536 x 864 x 2 bytes and 3 TB/s.
#include "cuda/long_conv_matrix.cuh"

namespace farsight::cuda {
namespace {

template <int kTiles>
struct Shared {
  P<kTiles> dm;
  Q<kTiles> w;
};

template <int kTiles>
__global__ void __launch_bounds__(kMatrixThreads, Layout<kTiles>::kMostBlocks)
    differentiate(const __grid_constant__ LongConvArgs a,
                  const __grid_constant__ LongConvWork work) {
  extern __shared__ uint4 shared_memory[];
  Shared<kTiles>& shared = *reinterpret_cast<Shared<kTiles>*>(shared_memory);
  constexpr int kPassages = Layout<kTiles>::kPassages, kRows = Layout<kTiles>::kRows;
  constexpr int kSteps = Layout<kTiles>::kSteps;
  const int warp = threadIdx.x / 32;
  const int channel = int(blockIdx.x % work.channel_blocks) * kMatrixChannels;
  const int share = int(blockIdx.x / work.channel_blocks);
  const int begin = int(a.B * share / work.workers), end = int(a.B * (share + 1) / work.workers);
  clear(shared);
  float sum[kTiles][4] = {};

#pragma unroll 1
  for (int b = begin; b < end; b += kRows) {
    __syncthreads();  // the rows before have been read
#pragma unroll 1
    for (int i = threadIdx.x; i < kPassages; i += kMatrixThreads) {
      const Passage<kTiles> passage(i);
      const int d = channel + passage.piece * 8;
      uint4 dm[2] = {}, w[2] = {};
#pragma unroll
      for (int s = 0; s < 2; s++) {
        const int t = passage.time(s, false);
        if (b + passage.row >= end || t >= a.T) continue;
        const std::int64_t row = (b + passage.row) * a.T + t;
        dm[s] = product(eight_channels(a.dy, row * a.dy_stride + d),
                        eight_channels(a.post, row * a.post_stride + d));
        w[s] = product(eight_channels(a.v, row * a.v_stride + d),
                       eight_channels(a.pre, row * a.pre_stride + d));
      }
      store_passage<kTiles>(shared.dm, passage, dm);
      unsigned words[8];
      words_of_channels(w, words);
      store_passage<kTiles, kRows>(shared.w, passage, words);
    }
    __syncthreads();
#pragma unroll 1
    for (int row = 0; row < kRows; row++) {
      correlate<kTiles>(sum, shared.dm.of(row, warp), shared.w.of(row, warp));
    }
  }

  // To [lag][channel], by shared memory.
  __syncthreads();
  float* const lags = reinterpret_cast<float*>(shared_memory);
  static_assert(kMatrixChannels * kSteps * 4 <= sizeof(Shared<kTiles>));
#pragma unroll
  for (int k = 0; k < 2 * kTiles; k++) {
    *reinterpret_cast<float2*>(lags + warp * kSteps + place_of_sum(k / 2) + k % 2 * 64) = {
        sum[k / 2][k % 2 * 2], sum[k / 2][k % 2 * 2 + 1]};
  }
  __syncthreads();
  const int taps = int(reached_taps(a));
  float* const partial = static_cast<float*>(a.partial) + share * taps * a.D + channel;
  for (int lag = threadIdx.x; lag < taps; lag += kMatrixThreads) {
    float row[kMatrixChannels];
#pragma unroll
    for (int c = 0; c < kMatrixChannels; c++) {
      row[c] = lags[c * kSteps + lag];
    }
    store_elements<kMatrixChannels>(partial + lag * a.D, row);
  }
}

}  // namespace

void matrix_long_conv_taps(const LongConvArgs& a) {
  const LongConvWork work{unsigned(a.D / kMatrixChannels), int(a.shares)};
  with_tiles(a.T, [&]<int kTiles>() {
    constexpr int kBytes = int(sizeof(Shared<kTiles>));
    succeeded(cudaFuncSetAttribute(differentiate<kTiles>,
                                   cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
              "cudaFuncSetAttribute");
    differentiate<kTiles>
        <<<work.channel_blocks* unsigned(work.workers), kMatrixThreads, kBytes, stream()>>>(a,
                                                                                            work);
  });
  launched("long_conv_backward, taps");
}

}  // namespace farsight::cuda
