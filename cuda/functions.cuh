// The functions of core/lanes.h for one value, from what the special function unit has.
#pragma once

#include <cuda_runtime.h>

namespace farsight::cuda {

inline constexpr float kLog2E = 1.4426950408889634f;

/// 2^x by the special function unit: within 2 units in the last place.
__device__ inline float exp2_approx(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// 1 / x by the special function unit: within 1 unit in the last place; 0 for x > 2^126.
__device__ inline float reciprocal_approx(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
/// Within 3 units in the last place beyond e^-x's own error; 0 for x < -87. No branch, unlike `/`,
/// and none of the scaling that __expf and __fdividef do for denormals, which cannot matter here.
__device__ inline float sigmoid(float x) {
  return reciprocal_approx(1.0f + exp2_approx(x * -kLog2E));
}
__device__ inline float silu(float x) {
  return x * sigmoid(x);
}
__device__ inline float silu_derivative(float x) {
  const float s = sigmoid(x);
  return s * (1.0f + x * (1.0f - s));
}
/// x for x > 20, else log(1 + e^x).
__device__ inline float softplus(float x) {
  return x > 20.0f ? x : fmaxf(x, 0.0f) + log1pf(__expf(-fabsf(x)));
}
__device__ inline float softplus_derivative(float x) {
  return x > 20.0f ? 1.0f : sigmoid(x);
}

}  // namespace farsight::cuda
