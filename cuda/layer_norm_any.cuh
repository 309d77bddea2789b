// LayerNorm of rows that do not fit in registers or vectors: a row is read again instead of kept. The
// order of every sum is that of layer_norm.cu's shares.
#pragma once

#include "cuda/norm_rows.cuh"
#include "ops/layer_norm.h"

namespace farsight::cuda {

template <class T>
__global__ void __launch_bounds__(kNormThreads)
    normalize_any(const __grid_constant__ LayerNormArgs a) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kNormWarps + threadIdx.x / 32;
  if (row >= a.rows) return;  // whole warps
  const int lane = threadIdx.x % 32;
  const std::int64_t at = row * a.D;
  const float* residual = static_cast<const float*>(a.residual);
  const T *x0 = static_cast<const T*>(a.x[0]), *x1 = static_cast<const T*>(a.x[1]);
  float* sum = static_cast<float*>(a.sum);
  float total = 0;
  for (std::int64_t d = lane; d < a.D; d += 32) {
    float s = residual[at + d];
    if (x0 != nullptr) {
      s += to_float(x0[at + d]);
      if (x1 != nullptr) s += to_float(x1[at + d]);
      sum[at + d] = s;
    }
    total += s;
  }
  const float mean = warp_sum(total) / float(a.D);
  float squares = 0;
  for (std::int64_t d = lane; d < a.D; d += 32) {
    const float deviation = sum[at + d] - mean;  // its own sums
    squares += deviation * deviation;
  }
  const float r = 1.0f / sqrtf(warp_sum(squares) / float(a.D) + float(a.eps));
  if (lane == 0) {
    static_cast<float*>(a.mean)[row] = mean;
    static_cast<float*>(a.scale)[row] = r;
  }
  for (std::int64_t d = lane; d < a.D; d += 32) {
    const float n = (sum[at + d] - mean) * r;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      if (i >= a.outputs) break;
      const float w = static_cast<const float*>(a.w[i])[d];
      const float b = static_cast<const float*>(a.b[i])[d];
      static_cast<T*>(a.y[i])[at + d] = from_float<T>(w * n + b);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kNormThreads)
    differentiate_any(const __grid_constant__ LayerNormArgs a) {
  const float *sum = static_cast<const float*>(a.sum), *dsum = static_cast<const float*>(a.dsum);
  float* partial = static_cast<float*>(a.partial) + blockIdx.x * 2 * a.outputs * a.D;
  for (std::int64_t d = threadIdx.x; d < a.D; d += kNormThreads) {
    for (int part = 0; part < 2 * a.outputs; part++) {
      partial[part * a.D + d] = 0;
    }
  }
  const std::int64_t end = a.rows * (blockIdx.x + 1) / a.blocks;
  for (std::int64_t row = a.rows * blockIdx.x / a.blocks; row < end; row++) {
    const std::int64_t at = row * a.D;
    const float mean = static_cast<const float*>(a.mean)[row];
    const float r = static_cast<const float*>(a.scale)[row];
    float total = 0, projection = 0;
    for (std::int64_t d = threadIdx.x; d < a.D; d += kNormThreads) {
      const float n = (sum[at + d] - mean) * r;
      float g = 0;
#pragma unroll
      for (int i = 0; i < 2; i++) {
        if (a.dy[i] == nullptr) continue;
        const float dy = to_float(static_cast<const T*>(a.dy[i])[at + d]);
        partial[i * a.D + d] += dy * n;
        partial[(a.outputs + i) * a.D + d] += dy;
        g += dy * static_cast<const float*>(a.w[i])[d];
      }
      total += g;
      projection += g * n;
    }
    const float mean_g = block_sum<kNormThreads>(total) / float(a.D);
    const float mean_gn = block_sum<kNormThreads>(projection) / float(a.D);
    for (std::int64_t d = threadIdx.x; d < a.D; d += kNormThreads) {
      const float n = (sum[at + d] - mean) * r;
      float g = 0;
#pragma unroll
      for (int i = 0; i < 2; i++) {
        if (a.dy[i] == nullptr) continue;
        g +=
            to_float(static_cast<const T*>(a.dy[i])[at + d]) * static_cast<const float*>(a.w[i])[d];
      }
      float ds = r * (g - mean_g - n * mean_gn);
      if (dsum != nullptr) ds += dsum[at + d];
        // dresidual may be dsum itself: a thread writes only what it has read.
#pragma unroll
      for (int i = 0; i < 2; i++) {
        if (a.dx[i] != nullptr) put(static_cast<T*>(a.dx[i]) + at + d, ds, a.dx_add[i]);
      }
      if (a.dresidual != nullptr) {
        put(static_cast<float*>(a.dresidual) + at + d, ds, a.dresidual_add);
      }
    }
  }
}

}  // namespace farsight::cuda
