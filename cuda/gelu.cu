// Rows x columns, a thread a vector of columns of one row. Floor: each operand read once, the result
// written once.
#include "ops/gelu.h"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

constexpr float kSlope = 0.79788456080286536f;  // sqrt(2 / pi)
constexpr float kCubic = 0.044715f;

struct Normal {
  float below, density;
};
/// Within 2e-7 (Abramowitz and Stegun, 7.1.26): a sixth of erfcf's instructions, and the density comes
/// with it.
__device__ inline Normal normal_at(float x) {
  const float bell = exp2_approx(-0.5f * kLog2E * x * x);
  const float t = reciprocal_approx(fmaf(0.3275911f * 0.70710678f, fabsf(x), 1.0f));
  float p = fmaf(1.061405429f, t, -1.453152027f);
  p = fmaf(p, t, 1.421413741f);
  p = fmaf(p, t, -0.284496736f);
  p = fmaf(p, t, 0.254829592f);
  const float tail = 0.5f * p * t * bell;
  return {x < 0 ? tail : 1.0f - tail, 0.39894228040143268f * bell};
}

__device__ inline float gelu(float x, Gelu form) {
  if (form == Gelu::exact) return x * normal_at(x).below;
  return x * sigmoid(2.0f * kSlope * (x + kCubic * x * x * x));
}

__device__ inline float gelu_derivative(float x, Gelu form) {
  if (form == Gelu::exact) {
    const Normal normal = normal_at(x);
    return fmaf(x, normal.density, normal.below);
  }
  const float s = sigmoid(2.0f * kSlope * (x + kCubic * x * x * x));
  return s + 2.0f * x * s * (1.0f - s) * kSlope * (1.0f + 3.0f * kCubic * x * x);
}

template <class T, int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    activate(const __grid_constant__ GeluArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t i = at.column * V;
  if (at.row >= a.rows || i >= a.columns) return;
  float x[V];
  load_elements<V>(static_cast<const T*>(a.x) + at.row * a.x_stride + i, x);
#pragma unroll
  for (int k = 0; k < V; k++) {
    x[k] = gelu(x[k], a.form);
  }
  store_elements<V>(static_cast<T*>(a.y) + at.row * a.columns + i, x);
}

template <class T, int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    differentiate(const __grid_constant__ GeluArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t i = at.column * V;
  if (at.row >= a.rows || i >= a.columns) return;
  float x[V], d[V];
  load_elements<V>(static_cast<const T*>(a.x) + at.row * a.x_stride + i, x);
  load_elements<V>(static_cast<const T*>(a.dy) + at.row * a.dy_stride + i, d);
#pragma unroll
  for (int k = 0; k < V; k++) {
    d[k] *= gelu_derivative(x[k], a.form);
  }
  put_elements<V>(static_cast<T*>(a.dx) + at.row * a.dx_stride + i, d, a.dx_add);
}

}  // namespace

void gelu_forward(const GeluArgs& a) {
  if (a.rows == 0 || a.columns == 0) return;
  with_device_type(a.type, "gelu_forward", [&]<class T>() {
    constexpr int V = kVector<T>;
    if (a.columns % V == 0 && moves_together<V, T>(a.x_stride, a.x, a.y)) {
      const RowGrid grid(a.rows, a.columns / V);
      activate<T, V><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    } else {
      const RowGrid grid(a.rows, a.columns);
      activate<T, 1><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    }
  });
  launched("gelu_forward");
}

void gelu_backward(const GeluArgs& a) {
  if (a.rows == 0 || a.columns == 0) return;
  with_device_type(a.type, "gelu_backward", [&]<class T>() {
    constexpr int V = kVector<T>;
    if (a.columns % V == 0 && a.x_stride % V == 0 && a.dx_stride % V == 0 &&
        moves_together<V, T>(a.dy_stride, a.x, a.dy, a.dx)) {
      const RowGrid grid(a.rows, a.columns / V);
      differentiate<T, V><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    } else {
      const RowGrid grid(a.rows, a.columns);
      differentiate<T, 1><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    }
  });
  launched("gelu_backward");
}

}  // namespace farsight::cuda
