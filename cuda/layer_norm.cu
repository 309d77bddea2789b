// Forward: a warp a row, read three times (sum, deviations, result), the second and third time from
// the cache. Backward: a block walks a range of rows, a row at a time; thread i has the channels i,
// i + 256, ... of every row, so it alone adds up their dw and db, in the block's share; a second
// kernel adds the shares in order.
//
// Floor a row, bf16 activations, two addends and two outputs: forward 4 D (residual) + 4 D (x) +
// 4 D (sum) + 4 D (y) bytes; backward 4 D (sum) + 4 D (dy) + 4 D (dsum) + 4 D (dresidual) + 4 D (dx).
#include "ops/layer_norm.h"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

template <class T>
__global__ void __launch_bounds__(kThreads) normalize(const __grid_constant__ LayerNormArgs a) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
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
__global__ void __launch_bounds__(kThreads) differentiate(const __grid_constant__ LayerNormArgs a) {
  const float *sum = static_cast<const float*>(a.sum), *dsum = static_cast<const float*>(a.dsum);
  float* partial = static_cast<float*>(a.partial) + blockIdx.x * 2 * a.outputs * a.D;
  for (std::int64_t d = threadIdx.x; d < a.D; d += kThreads) {
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
    for (std::int64_t d = threadIdx.x; d < a.D; d += kThreads) {
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
    const float mean_g = block_sum<kThreads>(total) / float(a.D);
    const float mean_gn = block_sum<kThreads>(projection) / float(a.D);
    for (std::int64_t d = threadIdx.x; d < a.D; d += kThreads) {
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

/// blockIdx.y: dw 0, dw 1, db 0, db 1.
__global__ void __launch_bounds__(1024) sum_shares(const __grid_constant__ LayerNormArgs a) {
  const int i = blockIdx.y % a.outputs;
  const bool bias = int(blockIdx.y) >= a.outputs;
  float* to = static_cast<float*>(bias ? a.db[i] : a.dw[i]);
  if (to == nullptr) return;  // the whole block
  const std::int64_t d = std::int64_t(blockIdx.x) * 32 + threadIdx.x;
  const float* partial = static_cast<const float*>(a.partial) + blockIdx.y * a.D;
  const float sum = sum_of_shares(partial, a.blocks, 2 * a.outputs * a.D, d < a.D ? d : -1);
  if (threadIdx.y == 0 && d < a.D) put(to + d, sum, bias ? a.db_add[i] : a.dw_add[i]);
}

}  // namespace

void layer_norm_forward(const LayerNormArgs& a) {
  if (a.rows == 0) return;
  with_device_type(a.type, "layer_norm_forward", [&]<class T>() {
    normalize<T><<<blocks_for(a.rows, kWarps), kThreads, 0, stream()>>>(a);
  });
  launched("layer_norm_forward");
}

void layer_norm_backward(const LayerNormArgs& a) {
  if (a.rows > 0) {
    with_device_type(a.type, "layer_norm_backward", [&]<class T>() {
      differentiate<T><<<int(a.blocks), kThreads, 0, stream()>>>(a);
    });
    launched("layer_norm_backward");
  }
  const dim3 grid(static_cast<unsigned>(blocks_for(a.D, 32)), static_cast<unsigned>(2 * a.outputs));
  sum_shares<<<grid, dim3(32, 32), 0, stream()>>>(a);
  launched("layer_norm_backward, sums of dw and db");
}

}  // namespace farsight::cuda
