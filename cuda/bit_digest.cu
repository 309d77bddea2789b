// kShares blocks, whatever the device; a thread adds up the words of its places, the block's threads
// are added by halves. Floor: one read of the words.
#include "cuda/device.cuh"
#include "ops/bit_digest.h"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) digest(const __grid_constant__ BitDigestArgs a) {
  constexpr std::int64_t kStep = std::int64_t(BitDigestArgs::kShares) * kThreads;
  std::uint64_t sum = 0;
#pragma unroll 8
  for (std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x; i < a.count;
       i += kStep) {
    sum += mixed_word(static_cast<std::uint64_t>(i), a.words[i]);
  }
  __shared__ std::uint64_t sums[kThreads];
  sums[threadIdx.x] = sum;
#pragma unroll
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0) a.shares[blockIdx.x] = sums[0];
}

}  // namespace

void bit_digest(const BitDigestArgs& a) {
  digest<<<BitDigestArgs::kShares, kThreads, 0, stream()>>>(a);
  launched("bit_digest");
}

}  // namespace farsight::cuda
