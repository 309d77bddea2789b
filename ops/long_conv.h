// Gated causal convolution with a kernel as long as the sequence: what a Hyena layer does between
// its projections (Poli et al., 2023, sections 3.1 and 3.3).
//
//   w = v pre        m[b,t,d] = sum_{l <= t, l < K} k[l,d] w[b,t-l,d] + bias[d] w[b,t,d]
//   y = m post
//
//   v, pre, post, y: [B, T, D], rows of the first three may be strided; no two are one tensor
//   k: [K, D] f32 (f64), time along rows as the implicit filter makes it; K may be shorter than T, or
//     longer: what lies beyond T is not reached     bias: [D] f32 (f64)
// Sums in f32 (f64). Gradients, dm = dy post:  dpost = dy m;
//   dw[t] = sum_l k[l] dm[t+l] + bias dm[t],   dv = dw pre,   dpre = dw v;
//   dk[l] += sum_{b,t} dm[t] w[t-l],   dbias += sum_{b,t} dm w: they accumulate in the type of k.
// All three sums are one correlation, out[i] = sum_s p[i+s] q[s]: the forward's on time reversed.
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor long_conv(const Tensor& v, const Tensor& pre, const Tensor& post, const Tensor& k,
                 const Tensor& bias);

/// The same for T more tokens of sequences of which `length` tokens are in `cache` [B, C, D]: their
/// w, of the type of v. Writes rows length ... length + T - 1 of it, which must be there
/// (length + T <= C). No gradient.
Tensor long_conv_step(const Tensor& v, const Tensor& pre, const Tensor& post, const Tensor& k,
                      const Tensor& bias, const Tensor& cache, std::int64_t length);

/// The longest sequence whose products the CUDA kernels do on tensor cores, in bf16. Longer ones, and
/// those in f32 from kLongConvFourierSteps on, go by Fourier transforms (cuFFT).
inline constexpr std::int64_t kLongConvMatrixSteps = 2048;
inline constexpr std::int64_t kLongConvFourierSteps = 512;

struct LongConvArgs {
  const void *v = nullptr, *pre = nullptr, *post = nullptr, *k = nullptr, *bias = nullptr;
  const void* dy = nullptr;
  void *y = nullptr, *m = nullptr;  // m: [B, T, D], kept for the backward; null: not wanted
  void *dv = nullptr, *dpre = nullptr, *dpost = nullptr, *dk = nullptr, *dbias = nullptr;
  bool dv_add = false, dpre_add = false, dpost_add = false, dk_add = false, dbias_add = false;
  void* partial = nullptr;  // CUDA: [shares, min(K, T), D], shares of dk; dbias is its first row
  /// CUDA, where transforms serve: [fourier_n + 6 (fourier_n / 2 + 1), fourier_columns] f32.
  void* fourier = nullptr;
  std::int64_t fourier_n = 0, fourier_columns = 0;
  void* cache = nullptr;  // [B, capacity, D], `first` rows of it known
  std::int64_t first = 0, capacity = 0;
  std::int64_t B = 0, T = 0, D = 0, K = 0, shares = 0;
  std::int64_t v_stride = 0, pre_stride = 0, post_stride = 0;  // elements between time steps
  std::int64_t dv_stride = 0, dpre_stride = 0, dpost_stride = 0, dy_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(long_conv_forward, LongConvArgs)
FARSIGHT_KERNEL(long_conv_backward, LongConvArgs)
FARSIGHT_KERNEL(long_conv_step, LongConvArgs)
