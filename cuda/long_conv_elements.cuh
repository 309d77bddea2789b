// Element by element, what goes into the sums of the gated long convolution and what becomes of them.
#pragma once

#include "cuda/long_conv.cuh"

namespace farsight::cuda {

enum class Sum {
  forward,  // p: w, time reversed     q: k     out: m, time reversed
  inputs,   // p: dm                   q: k     out: dw
  taps      // p: dm                   q: w     out: dk, summed over a share of the rows
};

template <class T>
__device__ inline float at(const void* x, const LongConvArgs& a, std::int64_t stride,
                           std::int64_t b, std::int64_t t, std::int64_t d) {
  return to_float(static_cast<const T*>(x)[(b * a.T + t) * stride + d]);
}
template <class T>
__device__ inline float w_at(const LongConvArgs& a, std::int64_t b, std::int64_t t,
                             std::int64_t d) {
  return at<T>(a.v, a, a.v_stride, b, t, d) * at<T>(a.pre, a, a.pre_stride, b, t, d);
}
template <class T>
__device__ inline float dm_at(const LongConvArgs& a, std::int64_t b, std::int64_t t,
                              std::int64_t d) {
  return at<T>(a.dy, a, a.dy_stride, b, t, d) * at<T>(a.post, a, a.post_stride, b, t, d);
}

template <class T, Sum kSum>
__device__ inline void finish(const LongConvArgs& a, std::int64_t b, std::int64_t i, std::int64_t d,
                              float sum) {
  if constexpr (kSum == Sum::taps) {  // b: the share
    if (i >= reached_taps(a)) return;
    static_cast<float*>(a.partial)[(b * reached_taps(a) + i) * a.D + d] = sum;
  } else {
    if (i >= a.T) return;
    const float bias = static_cast<const float*>(a.bias)[d];
    if constexpr (kSum == Sum::forward) {
      const std::int64_t t = a.T - 1 - i, to = (b * a.T + t) * a.D + d;
      const float m = sum + bias * w_at<T>(a, b, t, d);
      if (a.m != nullptr) static_cast<T*>(a.m)[to] = from_float<T>(m);
      static_cast<T*>(a.y)[to] = from_float<T>(m * at<T>(a.post, a, a.post_stride, b, t, d));
    } else {
      const std::int64_t row = b * a.T + i;
      const float dw = sum + bias * dm_at<T>(a, b, i, d);
      if (a.dv != nullptr) {
        put(static_cast<T*>(a.dv) + row * a.dv_stride + d,
            dw * at<T>(a.pre, a, a.pre_stride, b, i, d), a.dv_add);
      }
      if (a.dpre != nullptr) {
        put(static_cast<T*>(a.dpre) + row * a.dpre_stride + d,
            dw * at<T>(a.v, a, a.v_stride, b, i, d), a.dpre_add);
      }
      if (a.dpost != nullptr) {
        put(static_cast<T*>(a.dpost) + row * a.dpost_stride + d,
            at<T>(a.dy, a, a.dy_stride, b, i, d) * at<T>(a.m, a, a.D, b, i, d), a.dpost_add);
      }
    }
  }
}

}  // namespace farsight::cuda
