// A warp a row, the row in registers (norm_rows.cuh).
//
// Floor a row, bf16 activations: forward 4 D (residual) + 2 D (x) + 4 D (sum) + 2 D (y) bytes;
// backward 4 D (sum) + 2 D (dy) + 4 D (dsum) + 4 D (dresidual) + 2 D (dx).
//
// dw: a block walks a range of rows, its warps taking turns, and each lane sums dy n of its own
// channels in registers; the warps of a block are added in order into partial[block], the blocks by a
// second kernel. Rows that do not fit in registers or vectors take the plain kernels at the end.
#include "ops/rms_norm.h"

#include "cuda/norm_rows.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = kNormThreads;
constexpr int kWarps = kNormWarps;

template <class T, int V, int kVectors>
__global__ void __launch_bounds__(kThreads) normalize(const __grid_constant__ RmsNormArgs a) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= a.rows) return;  // whole warps
  const float* w = static_cast<const float*>(a.w);
  const float* residual = static_cast<const float*>(a.residual) + row * a.D;
  const T* x = static_cast<const T*>(a.x) + (a.x != nullptr ? row * a.D : 0);
  float s[kVectors][V] = {};
  for_each_vector<V, kVectors>(a.D, [&](int i, int d) { load_elements<V>(residual + d, s[i]); });
  if (a.x != nullptr) {
    float* sum = static_cast<float*>(a.sum) + row * a.D;
    float added[kVectors][V] = {};
    for_each_vector<V, kVectors>(a.D, [&](int i, int d) { load_elements<V>(x + d, added[i]); });
    for_each_vector<V, kVectors>(a.D, [&](int i, int d) {
#pragma unroll
      for (int k = 0; k < V; k++) {
        s[i][k] += added[i][k];
      }
      store_elements<V>(sum + d, s[i]);
    });
  }
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kVectors; i++) {
#pragma unroll
    for (int k = 0; k < V; k++) {
      squares += s[i][k] * s[i][k];
    }
  }
  const float r = 1.0f / sqrtf(warp_sum(squares) / float(a.D) + float(a.eps));
  if (threadIdx.x % 32 == 0) static_cast<float*>(a.scale)[row] = r;
  T* y = static_cast<T*>(a.y) + row * a.D;
  for_each_vector<V, kVectors>(a.D, [&](int i, int d) {
    float out[V];
    load_elements<V>(w + d, out);
#pragma unroll
    for (int k = 0; k < V; k++) {
      out[k] *= s[i][k] * r;
    }
    store_elements<V>(y + d, out);
  });
}

template <class T, int V, int kVectors>
__global__ void __launch_bounds__(kThreads, kVectors <= 3 ? 2 : 1)
    differentiate(const __grid_constant__ RmsNormArgs a) {
  const int warp = threadIdx.x / 32;
  const float* w = static_cast<const float*>(a.w);
  float share[kVectors][V] = {};
  const std::int64_t end = a.rows * (blockIdx.x + 1) / a.blocks;
  for (std::int64_t row = a.rows * blockIdx.x / a.blocks + warp; row < end; row += kWarps) {
    const float* sum = static_cast<const float*>(a.sum) + row * a.D;
    const float r = static_cast<const float*>(a.scale)[row];
    float n[kVectors][V] = {}, g[kVectors][V] = {}, ds[kVectors][V] = {};
    float projection = 0;
    if (a.dsum != nullptr) {
      const float* dsum = static_cast<const float*>(a.dsum) + row * a.D;
      for_each_vector<V, kVectors>(a.D, [&](int i, int d) { load_elements<V>(dsum + d, ds[i]); });
    }
    if (a.dy != nullptr) {
      const T* dy = static_cast<const T*>(a.dy) + row * a.D;
      for_each_vector<V, kVectors>(a.D, [&](int i, int d) { load_elements<V>(sum + d, n[i]); });
      for_each_vector<V, kVectors>(a.D, [&](int i, int d) { load_elements<V>(dy + d, g[i]); });
      for_each_vector<V, kVectors>(a.D, [&](int i, int d) {
        float weight[V];
        load_elements<V>(w + d, weight);
#pragma unroll
        for (int k = 0; k < V; k++) {
          n[i][k] *= r;
          share[i][k] += g[i][k] * n[i][k];
          g[i][k] *= weight[k];
          projection += g[i][k] * n[i][k];
        }
      });
    }
    const float mean = warp_sum(projection) / float(a.D);
    for_each_vector<V, kVectors>(a.D, [&](int i, int d) {
#pragma unroll
      for (int k = 0; k < V; k++) {
        ds[i][k] += r * (g[i][k] - n[i][k] * mean);
      }
      // dresidual may be dsum itself: a lane writes only what it has read.
      if (a.dx != nullptr) put_elements<V>(static_cast<T*>(a.dx) + row * a.D + d, ds[i], a.dx_add);
      if (a.dresidual != nullptr) {
        put_elements<V>(static_cast<float*>(a.dresidual) + row * a.D + d, ds[i], a.dresidual_add);
      }
    });
  }

  if (a.dw == nullptr) return;  // the whole grid
  __shared__ float shares[kWarps][32 * V];
  sum_warps<V, kVectors>(share, a.D, shares, static_cast<float*>(a.partial) + blockIdx.x * a.D);
}

__global__ void __launch_bounds__(1024) sum_dw(const __grid_constant__ RmsNormArgs a) {
  const std::int64_t d = std::int64_t(blockIdx.x) * 32 + threadIdx.x;
  const float sum =
      sum_of_shares(static_cast<const float*>(a.partial), a.blocks, a.D, d < a.D ? d : -1);
  if (threadIdx.y == 0 && d < a.D) put(static_cast<float*>(a.dw) + d, sum, a.dw_add);
}

// ---- any D: a block a row, which it reads again instead of keeping -------------------------------------

template <class T>
__global__ void __launch_bounds__(kThreads) normalize_any(const __grid_constant__ RmsNormArgs a) {
  const std::int64_t at = std::int64_t(blockIdx.x) * a.D;
  const float *w = static_cast<const float*>(a.w),
              *residual = static_cast<const float*>(a.residual);
  const T* x = static_cast<const T*>(a.x);
  float* sum = static_cast<float*>(a.sum);
  float squares = 0;
  for (std::int64_t d = threadIdx.x; d < a.D; d += kThreads) {
    float s = residual[at + d];
    if (x != nullptr) {
      s += to_float(x[at + d]);
      sum[at + d] = s;
    }
    squares += s * s;
  }
  const float r = 1.0f / sqrtf(block_sum<kThreads>(squares) / float(a.D) + float(a.eps));
  if (threadIdx.x == 0) static_cast<float*>(a.scale)[blockIdx.x] = r;
  for (std::int64_t d = threadIdx.x; d < a.D; d += kThreads) {
    static_cast<T*>(a.y)[at + d] = from_float<T>(w[d] * sum[at + d] * r);  // its own sums
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    differentiate_any(const __grid_constant__ RmsNormArgs a) {
  const float *w = static_cast<const float*>(a.w), *sum = static_cast<const float*>(a.sum);
  const T* dy = static_cast<const T*>(a.dy);
  const float* dsum = static_cast<const float*>(a.dsum);
  float* partial = static_cast<float*>(a.partial) + blockIdx.x * a.D;
  for (std::int64_t d = threadIdx.x; d < a.D; d += kThreads) {
    partial[d] = 0;
  }
  const std::int64_t end = a.rows * (blockIdx.x + 1) / a.blocks;
  for (std::int64_t row = a.rows * blockIdx.x / a.blocks; row < end; row++) {
    const std::int64_t at = row * a.D;
    const float r = static_cast<const float*>(a.scale)[row];
    float projection = 0;
    for (std::int64_t d = threadIdx.x; d < a.D && dy != nullptr; d += kThreads) {
      const float g = to_float(dy[at + d]), n = sum[at + d] * r;
      projection += g * w[d] * n;
      partial[d] += g * n;
    }
    const float mean = block_sum<kThreads>(projection) / float(a.D);
    for (std::int64_t d = threadIdx.x; d < a.D; d += kThreads) {
      float ds = 0;
      if (dy != nullptr) ds = r * (to_float(dy[at + d]) * w[d] - sum[at + d] * r * mean);
      if (dsum != nullptr) ds += dsum[at + d];
      if (a.dx != nullptr) put(static_cast<T*>(a.dx) + at + d, ds, a.dx_add);
      if (a.dresidual != nullptr) {
        put(static_cast<float*>(a.dresidual) + at + d, ds, a.dresidual_add);
      }
    }
  }
}

}  // namespace

void rms_norm_forward(const RmsNormArgs& a) {
  if (a.rows == 0) return;
  with_device_type(a.type, "rms_norm_forward", [&]<class T>() {
    const bool together = moves_together<8, T>(a.D, a.x, a.y, a.residual, a.w, a.sum);
    with_row(a.D, together, [&]<int V, int kVectors>() {
      if constexpr (kVectors > 0) {
        normalize<T, V, kVectors><<<blocks_for(a.rows, kWarps), kThreads, 0, stream()>>>(a);
      } else {
        normalize_any<T><<<blocks_for(a.rows, 1), kThreads, 0, stream()>>>(a);
      }
    });
  });
  launched("rms_norm_forward");
}

void rms_norm_backward(const RmsNormArgs& a) {
  if (a.rows > 0) {
    with_device_type(a.type, "rms_norm_backward", [&]<class T>() {
      const bool together = moves_together<8, T>(a.D, a.dy, a.dx, a.dsum, a.dresidual, a.w, a.sum);
      with_row(a.D, together, [&]<int V, int kVectors>() {
        if constexpr (kVectors > 0) {
          differentiate<T, V, kVectors><<<int(a.blocks), kThreads, 0, stream()>>>(a);
        } else {
          differentiate_any<T><<<int(a.blocks), kThreads, 0, stream()>>>(a);
        }
      });
    });
    launched("rms_norm_backward");
  }
  if (a.dw == nullptr) return;
  sum_dw<<<blocks_for(a.D, 32), dim3(32, 32), 0, stream()>>>(a);
  launched("rms_norm_backward, sum of dw");
}

}  // namespace farsight::cuda
