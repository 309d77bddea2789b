// A thread one weight: a few hundred thousand of them, of no account beside the convolution.
#include "ops/shrunk_taps.h"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) shrink(const __grid_constant__ ShrunkTapsArgs a) {
  const std::int64_t at = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= a.D * a.K) return;
  const std::int64_t d = at / a.K, l = at % a.K;
  const float x = static_cast<const float*>(a.k)[at];
  const float shrunk = copysignf(fmaxf(fabsf(x) - float(a.threshold), 0.0f), x);
  const float skip = l == 0 ? static_cast<const float*>(a.skip)[d] : 0.0f;
  static_cast<float*>(a.w)[d * a.K + a.K - 1 - l] = shrunk + skip;
}

__global__ void __launch_bounds__(kThreads)
    differentiate(const __grid_constant__ ShrunkTapsArgs a) {
  const std::int64_t at = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (at >= a.D * a.K) return;
  const std::int64_t d = at / a.K, l = at % a.K;
  const float dw = static_cast<const float*>(a.dw)[d * a.K + a.K - 1 - l];
  if (a.dk != nullptr) {
    const bool passes = fabsf(static_cast<const float*>(a.k)[at]) > float(a.threshold);
    put(static_cast<float*>(a.dk) + at, passes ? dw : 0.0f, a.dk_add);
  }
  if (a.dskip != nullptr && l == 0) put(static_cast<float*>(a.dskip) + d, dw, a.dskip_add);
}

}  // namespace

void shrunk_taps_forward(const ShrunkTapsArgs& a) {
  if (a.type != DType::f32) unsupported("shrunk_taps_forward", name_of(a.type));
  if (a.D * a.K == 0) return;
  shrink<<<blocks_for(a.D * a.K, kThreads), kThreads, 0, stream()>>>(a);
  launched("shrunk_taps_forward");
}

void shrunk_taps_backward(const ShrunkTapsArgs& a) {
  if (a.type != DType::f32) unsupported("shrunk_taps_backward", name_of(a.type));
  if (a.D * a.K == 0) return;
  differentiate<<<blocks_for(a.D * a.K, kThreads), kThreads, 0, stream()>>>(a);
  launched("shrunk_taps_backward");
}

}  // namespace farsight::cuda
