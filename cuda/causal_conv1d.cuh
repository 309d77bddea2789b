// What the kernels of the short convolution (causal_conv1d.cu, causal_conv1d_backward.cu) and of the
// long ones (causal_conv1d_long.cu, causal_conv1d_matrix.cu) share.
#pragma once

#include "cuda/device.cuh"
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

// ---- from global to shared memory, stages ahead of their use --------------------------------------------
//
// A thread's pieces wait in slots of its own until their stage comes: no register is held meanwhile,
// and nobody else has to be waited for.

/// kBytes to shared memory, zeros where there is nothing; `from` is then not read.
template <int kBytes>
__device__ inline void copy_ahead(void* to, const void* from, bool there) {
  const unsigned at = unsigned(__cvta_generic_to_shared(to));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :
                 : "r"(at), "l"(from), "r"(there ? 16 : 0)
                 : "memory");
  } else if constexpr (kBytes >= 4) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                 :
                 : "r"(at), "l"(from), "n"(kBytes), "r"(there ? kBytes : 0)
                 : "memory");
  } else {  // the copy engine moves four bytes at least
    using Raw = typename Word<kBytes>::type;
    *static_cast<Raw*>(to) = there ? *static_cast<const Raw*>(from) : Raw{};
  }
}
/// Ends a stage's copies; there may be none.
__device__ inline void end_stage() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Until all of this thread's stages but the newest kLeft have come.
template <int kLeft>
__device__ inline void await_stages() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kLeft) : "memory");
}

/// dw and dbias from the shares in a.partial.
void sum_conv1d_shares(const Conv1dArgs& a);

}  // namespace farsight::cuda
