// A warp a row, the row in registers (norm_rows.cuh), so that mean, deviations and result need one
// reading. Backward: a block walks a range of rows, its warps taking turns, and each lane sums dw and db
// of its own channels in registers; the warps of a block are added in order into partial[block], the
// blocks by a second kernel. Rows that do not fit in registers or vectors take the plain kernels of
// layer_norm_any.cuh.
//
// Floor a row, bf16 activations, two addends and two outputs: forward 4 D (residual) + 4 D (x) +
// 4 D (sum) + 4 D (y) bytes; backward 4 D (sum) + 4 D (dy) + 4 D (dsum) + 4 D (dresidual) + 4 D (dx).
#include "ops/layer_norm.h"

#include "cuda/layer_norm_any.cuh"
#include "cuda/norm_rows.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = kNormThreads;
constexpr int kWarps = kNormWarps;

template <class T, int V, int kVectors, int kOutputs>
__global__ void __launch_bounds__(kThreads) normalize(const __grid_constant__ LayerNormArgs a) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= a.rows) return;  // whole warps
  const std::int64_t at = row * a.D;
  const float* residual = static_cast<const float*>(a.residual) + at;
  float s[kVectors][V] = {};
  for_each_vector<V, kVectors>(a.D, [&](int i, int d) { load_elements<V>(residual + d, s[i]); });
  if (a.x[0] != nullptr) {
    float added[2][kVectors][V] = {};
#pragma unroll
    for (int x = 0; x < 2; x++) {
      if (a.x[x] == nullptr) continue;
      const T* from = static_cast<const T*>(a.x[x]) + at;
      for_each_vector<V, kVectors>(a.D,
                                   [&](int i, int d) { load_elements<V>(from + d, added[x][i]); });
    }
    float* sum = static_cast<float*>(a.sum) + at;
    for_each_vector<V, kVectors>(a.D, [&](int i, int d) {
#pragma unroll
      for (int k = 0; k < V; k++) {
        s[i][k] = s[i][k] + added[0][i][k] + added[1][i][k];
      }
      store_elements<V>(sum + d, s[i]);
    });
  }
  float total = 0;
#pragma unroll
  for (int i = 0; i < kVectors * V; i++) {
    total += s[i / V][i % V];
  }
  const float mean = warp_sum(total) / float(a.D);
  float squares = 0;
  for_each_vector<V, kVectors>(a.D, [&](int i, int) {
#pragma unroll
    for (int k = 0; k < V; k++) {
      s[i][k] -= mean;
      squares += s[i][k] * s[i][k];
    }
  });
  const float r = 1.0f / sqrtf(warp_sum(squares) / float(a.D) + float(a.eps));
  if (threadIdx.x % 32 == 0) {
    static_cast<float*>(a.mean)[row] = mean;
    static_cast<float*>(a.scale)[row] = r;
  }
  for_each_vector<V, kVectors>(a.D, [&](int i, int d) {
#pragma unroll
    for (int output = 0; output < kOutputs; output++) {
      float w[V], y[V];
      load_elements<V>(static_cast<const float*>(a.w[output]) + d, w);
      load_elements<V>(static_cast<const float*>(a.b[output]) + d, y);
#pragma unroll
      for (int k = 0; k < V; k++) {
        y[k] += w[k] * (s[i][k] * r);
      }
      store_elements<V>(static_cast<T*>(a.y[output]) + at + d, y);
    }
  });
}

template <class T, int V, int kVectors, int kOutputs>
__global__ void __launch_bounds__(kThreads, kVectors + kOutputs <= 3 ? 2 : 1)
    differentiate(const __grid_constant__ LayerNormArgs a) {
  float dw[kOutputs][kVectors][V] = {}, db[kOutputs][kVectors][V] = {};
  const std::int64_t end = a.rows * (blockIdx.x + 1) / a.blocks;
  for (std::int64_t row = a.rows * blockIdx.x / a.blocks + threadIdx.x / 32; row < end;
       row += kWarps) {
    const std::int64_t at = row * a.D;
    const float* sum = static_cast<const float*>(a.sum) + at;
    const float mean = static_cast<const float*>(a.mean)[row];
    const float r = static_cast<const float*>(a.scale)[row];
    float n[kVectors][V] = {}, ds[kVectors][V] = {}, g[kVectors][V] = {};
    for_each_vector<V, kVectors>(a.D, [&](int i, int d) { load_elements<V>(sum + d, n[i]); });
    if (a.dsum != nullptr) {
      const float* dsum = static_cast<const float*>(a.dsum) + at;
      for_each_vector<V, kVectors>(a.D, [&](int i, int d) { load_elements<V>(dsum + d, ds[i]); });
    }
    float total = 0, projection = 0;
    for_each_vector<V, kVectors>(a.D, [&](int i, int) {
#pragma unroll
      for (int k = 0; k < V; k++) {
        n[i][k] = (n[i][k] - mean) * r;
      }
    });
#pragma unroll
    for (int output = 0; output < kOutputs; output++) {
      if (a.dy[output] == nullptr) continue;
      const T* from = static_cast<const T*>(a.dy[output]) + at;
      float dy[kVectors][V] = {};
      for_each_vector<V, kVectors>(a.D, [&](int i, int d) { load_elements<V>(from + d, dy[i]); });
      for_each_vector<V, kVectors>(a.D, [&](int i, int d) {
        float w[V];
        load_elements<V>(static_cast<const float*>(a.w[output]) + d, w);
#pragma unroll
        for (int k = 0; k < V; k++) {
          dw[output][i][k] += dy[i][k] * n[i][k];
          db[output][i][k] += dy[i][k];
          g[i][k] += dy[i][k] * w[k];
        }
      });
    }
#pragma unroll
    for (int i = 0; i < kVectors * V; i++) {
      total += g[i / V][i % V];
      projection += g[i / V][i % V] * n[i / V][i % V];
    }
    const float mean_g = warp_sum(total) / float(a.D);
    const float mean_gn = warp_sum(projection) / float(a.D);
    for_each_vector<V, kVectors>(a.D, [&](int i, int d) {
#pragma unroll
      for (int k = 0; k < V; k++) {
        ds[i][k] += r * (g[i][k] - mean_g - n[i][k] * mean_gn);
      }
      // dresidual may be dsum itself: a lane writes only what it has read.
#pragma unroll
      for (int x = 0; x < 2; x++) {
        if (a.dx[x] == nullptr) continue;
        put_elements<V>(static_cast<T*>(a.dx[x]) + at + d, ds[i], a.dx_add[x]);
      }
      if (a.dresidual != nullptr) {
        put_elements<V>(static_cast<float*>(a.dresidual) + at + d, ds[i], a.dresidual_add);
      }
    });
  }

  __shared__ float shares[kWarps][32 * V];
  float* partial = static_cast<float*>(a.partial) + blockIdx.x * 2 * kOutputs * a.D;
#pragma unroll
  for (int output = 0; output < kOutputs; output++) {
    sum_warps<V, kVectors>(dw[output], a.D, shares, partial + output * a.D);
    sum_warps<V, kVectors>(db[output], a.D, shares, partial + (kOutputs + output) * a.D);
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

/// Calls f.template operator()<T, V, kVectors, kOutputs>(); kVectors = 0: a row does not fit.
template <class F>
void with_instance(const LayerNormArgs& a, const char* kernel, F f) {
  with_device_type(a.type, kernel, [&]<class T>() {
    const bool together = moves_together<8, T>(a.D, a.x[0], a.x[1], a.y[0], a.y[1], a.dy[0],
                                               a.dy[1], a.dx[0], a.dx[1]) &&
                          moves_together<8, float>(a.D, a.residual, a.sum, a.dsum, a.dresidual,
                                                   a.w[0], a.w[1], a.b[0], a.b[1]);
    with_row(a.D, together, [&]<int V, int kVectors>() {
      a.outputs == 1 ? f.template operator()<T, V, kVectors, 1>()
                     : f.template operator()<T, V, kVectors, 2>();
    });
  });
}

}  // namespace

void layer_norm_forward(const LayerNormArgs& a) {
  if (a.rows == 0) return;
  with_instance(a, "layer_norm_forward", [&]<class T, int V, int kVectors, int kOutputs>() {
    const int blocks = blocks_for(a.rows, kWarps);
    if constexpr (kVectors > 0) {
      normalize<T, V, kVectors, kOutputs><<<blocks, kThreads, 0, stream()>>>(a);
    } else {
      normalize_any<T><<<blocks, kThreads, 0, stream()>>>(a);
    }
  });
  launched("layer_norm_forward");
}

void layer_norm_backward(const LayerNormArgs& a) {
  if (a.rows > 0) {
    with_instance(a, "layer_norm_backward", [&]<class T, int V, int kVectors, int kOutputs>() {
      if constexpr (kVectors > 0 && kVectors * kOutputs <= 6) {  // registers end there
        differentiate<T, V, kVectors, kOutputs><<<int(a.blocks), kThreads, 0, stream()>>>(a);
      } else {
        differentiate_any<T><<<int(a.blocks), kThreads, 0, stream()>>>(a);
      }
    });
    launched("layer_norm_backward");
  }
  const dim3 grid(static_cast<unsigned>(blocks_for(a.D, 32)), static_cast<unsigned>(2 * a.outputs));
  sum_shares<<<grid, dim3(32, 32), 0, stream()>>>(a);
  launched("layer_norm_backward, sums of dw and db");
}

}  // namespace farsight::cuda
