// rotate_table: a thread one angle, in double, for a float times 2048 is off by 1e-4.
// rotate_pairs: a thread two columns (one pair) of one row. Floor: x read once, y written once; the
// table, T D floats, stays in the L2 cache.
#include "ops/rotate_pairs.h"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) fill_table(const __grid_constant__ RotateArgs a) {
  const std::int64_t at = std::int64_t(blockIdx.x) * kThreads + threadIdx.x, half = a.D / 2;
  if (at >= a.T * half) return;
  const std::int64_t t = at / half, i = at % half;
  const double angle = double(a.first + t) * pow(a.base, -2.0 * double(i) / double(a.D));
  double sine, cosine;
  sincos(angle, &sine, &cosine);
  static_cast<float2*>(a.turns)[at] = make_float2(float(cosine), float(sine));
}

/// V columns of a row, a multiple of two.
template <class T, int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    turn(const __grid_constant__ RotateArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t i = at.column * V;
  if (at.row >= a.B * a.T || i >= a.D) return;
  const std::int64_t p = a.position ? a.position[at.row] : at.row % a.T;
  const T* from = static_cast<const T*>(a.x) + at.row * a.x_stride + i;
  T* to = static_cast<T*>(a.y) + at.row * a.y_stride + i;
  float x[V], turned[V];
  if constexpr (V == 2) {  // where nothing is known of the alignment
    x[0] = to_float(from[0]);
    x[1] = to_float(from[1]);
  } else {
    load_elements<V>(from, x);
  }
#pragma unroll
  for (int k = 0; k < V; k += 2) {
    const float2 turns = static_cast<const float2*>(a.turns)[(p * a.D + i + k) / 2];
    const float sine = a.back ? -turns.y : turns.y;
    turned[k] = x[k] * turns.x - x[k + 1] * sine;
    turned[k + 1] = x[k + 1] * turns.x + x[k] * sine;
  }
  if constexpr (V == 2) {
    put(to, turned[0], a.y_add);
    put(to + 1, turned[1], a.y_add);
  } else {
    put_elements<V>(to, turned, a.y_add);
  }
}

}  // namespace

void rotate_table(const RotateArgs& a) {
  const std::int64_t angles = a.T * (a.D / 2);
  if (angles == 0) return;
  fill_table<<<blocks_for(angles, kThreads), kThreads, 0, stream()>>>(a);
  launched("rotate_table");
}

void rotate_pairs(const RotateArgs& a) {
  const std::int64_t rows = a.B * a.T;
  if (rows == 0 || a.D == 0) return;
  with_device_type(a.type, "rotate_pairs", [&]<class T>() {
    constexpr int V = kVector<T>;
    if (a.D % V == 0 && a.y_stride % V == 0 && moves_together<V, T>(a.x_stride, a.x, a.y)) {
      const RowGrid grid(rows, a.D / V);
      turn<T, V><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    } else {
      const RowGrid grid(rows, a.D / 2);
      turn<T, 2><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    }
  });
  launched("rotate_pairs");
}

}  // namespace farsight::cuda
