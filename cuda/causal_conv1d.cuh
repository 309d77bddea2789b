// What the kernels of the short convolution (causal_conv1d.cu, causal_conv1d_backward.cu) and of the
// long ones (causal_conv1d_long.cu, causal_conv1d_matrix.cu) share.
#pragma once

#include "cuda/matrix.cuh"
#include "ops/causal_conv1d.h"

namespace farsight::cuda {

void short_conv1d_backward(const Conv1dArgs& a);
void long_conv1d_forward(const Conv1dArgs& a);
void long_conv1d_backward(const Conv1dArgs& a);

/// x at a time of row b, N channels from d on: the history behind 0, and zeros beyond either.
template <int N, class T>
__device__ inline void load_input(const Conv1dArgs& a, std::int64_t b, std::int64_t t,
                                  std::int64_t d, float (&x)[N]) {
  if (t >= 0 && t < a.T) {
    load_elements<N>(static_cast<const T*>(a.x) + (b * a.T + t) * a.x_stride + d, x);
  } else if (t < 0 && t > -a.K && a.history != nullptr) {
    load_elements<N>(static_cast<const T*>(a.history) + (b * (a.K - 1) + a.K - 1 + t) * a.D + d, x);
  } else {
#pragma unroll
    for (int i = 0; i < N; i++) {
      x[i] = 0;
    }
  }
}

/// The gradient of x at a time of row b, or of the history behind 0.
template <int N, class T>
__device__ inline void put_input_gradient(const Conv1dArgs& a, std::int64_t b, std::int64_t t,
                                          std::int64_t d, const float (&dx)[N]) {
  if (t >= 0 && a.dx != nullptr) {
    put_elements<N>(static_cast<T*>(a.dx) + (b * a.T + t) * a.dx_stride + d, dx, a.dx_add);
  } else if (t < 0 && t > -a.K && a.dhistory != nullptr) {
    put_elements<N>(static_cast<T*>(a.dhistory) + (b * (a.K - 1) + a.K - 1 + t) * a.D + d, dx,
                    a.dhistory_add);
  }
}

/// dw and dbias from the shares in a.partial.
void sum_conv1d_shares(const Conv1dArgs& a);

}  // namespace farsight::cuda
