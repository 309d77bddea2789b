// What the two kernels of the short convolution share (causal_conv1d.cu, forward;
// causal_conv1d_backward.cu): K <= 8, [B, T, D], a thread owns V channels and walks along time with
// the last W rows of x in registers. W = 4 serves K <= 4, W = 8 the others.
#pragma once

#include "cuda/causal_conv1d.cuh"

namespace farsight::cuda {

inline constexpr int kShortKernel = 8;

/// Whether tap i (steps back) is multiplied: of four all are, those beyond K being zeros, for a test
/// costs as much.
template <int W>
__device__ inline bool has_tap(const Conv1dArgs& a, int i) {
  return W == 4 || i < a.K;
}

template <int V, int W>
struct Taps {
  float w[W][V], bias[V];  // w[i] belongs to x i steps back

  __device__ Taps(const Conv1dArgs& a, std::int64_t d) {
#pragma unroll
    for (int k = 0; k < V; k++) {
      bias[k] = static_cast<const float*>(a.bias)[d + k];
#pragma unroll
      for (int i = 0; i < W; i++) {
        w[i][k] = 0;
        if (i < a.K) w[i][k] = static_cast<const float*>(a.w)[(d + k) * a.K + a.K - 1 - i];
      }
    }
  }
};

__device__ inline bool starts_at(const Conv1dArgs& a, std::int64_t b, int t) {
  return a.position != nullptr && t >= 0 && t < int(a.T) && a.position[b * a.T + t] == 0;
}

/// Calls f.template operator()<T, V, W>(): V channels a thread where they move together, else one.
template <class F>
void with_short_instance(const Conv1dArgs& a, const char* kernel, F f) {
  with_device_type(a.type, kernel, [&]<class T>() {
    constexpr int V = 8 / int(sizeof(T));  // more do not fit beside the sums of the backward
    const bool together =
        a.D % V == 0 && a.dx_stride % V == 0 &&
        moves_together<V, T>(a.x_stride, a.x, a.y, a.history, a.dy, a.dx, a.dhistory);
    if (together && a.K <= 4) {
      f.template operator()<T, V, 4>();
    } else if (together) {
      f.template operator()<T, 2, kShortKernel>();
    } else if (a.K <= 4) {
      f.template operator()<T, 1, 4>();
    } else {
      f.template operator()<T, 1, kShortKernel>();
    }
  });
}

}  // namespace farsight::cuda
