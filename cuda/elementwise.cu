// Rows x columns, a thread a vector of columns of one row. Floor: each operand read once, the result
// written once.
#include "ops/elementwise.h"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

__device__ bool two_operands(ElementwiseKind kind) {
  return kind <= ElementwiseKind::gate;
}

__device__ float combined(ElementwiseKind kind, float a, float b) {
  switch (kind) {
    case ElementwiseKind::add:
      return a + b;
    case ElementwiseKind::multiply:
      return a * b;
    case ElementwiseKind::gate:
      return sigmoid(a) * b;
    case ElementwiseKind::silu:
      return silu(a);
    case ElementwiseKind::relu:
      return a > 0 ? a : 0;
    case ElementwiseKind::squared_relu:
      break;
  }
  return a > 0 ? a * a : 0;
}

/// What dy is multiplied by to give the gradient of `own`, the first of the operands or not.
__device__ float factor(ElementwiseKind kind, bool first, float own, float other) {
  switch (kind) {
    case ElementwiseKind::add:
      break;
    case ElementwiseKind::multiply:
      return other;
    case ElementwiseKind::gate: {
      const float s = sigmoid(first ? own : other);
      return first ? s * (1.0f - s) * other : s;
    }
    case ElementwiseKind::silu:
      return silu_derivative(own);
    case ElementwiseKind::relu:
      return own > 0 ? 1 : 0;
    case ElementwiseKind::squared_relu:
      return own > 0 ? 2.0f * own : 0;
  }
  return 1;
}

template <class T, int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    combine(const __grid_constant__ ElementwiseArgs g, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t i = at.column * V;
  if (at.row >= g.rows || i >= g.columns) return;
  float x[V];
  load_elements<V>(static_cast<const T*>(g.a) + at.row * g.a_stride + i, x);
  float other[V] = {};
  if (two_operands(g.kind)) {
    load_elements<V>(static_cast<const T*>(g.b) + at.row * g.b_stride + i, other);
  }
#pragma unroll
  for (int k = 0; k < V; k++) {
    x[k] = combined(g.kind, x[k], other[k]);
  }
  store_elements<V>(static_cast<T*>(g.y) + at.row * g.columns + i, x);
}

/// da or db, whichever is there: `own` is the operand it belongs to.
struct Derivative {
  const void *own, *other, *dy;
  void* out;
  std::int64_t own_stride, other_stride, out_stride, dy_stride, rows, columns;
  ElementwiseKind kind;
  bool first, add;
};

template <class T, int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    differentiate(const __grid_constant__ Derivative g, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t i = at.column * V;
  if (at.row >= g.rows || i >= g.columns) return;
  float d[V];
  load_elements<V>(static_cast<const T*>(g.dy) + at.row * g.dy_stride + i, d);
  if (g.kind != ElementwiseKind::add) {  // whose operands nobody kept
    float x[V], other[V] = {};
    load_elements<V>(static_cast<const T*>(g.own) + at.row * g.own_stride + i, x);
    if (two_operands(g.kind)) {
      load_elements<V>(static_cast<const T*>(g.other) + at.row * g.other_stride + i, other);
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
      d[k] *= factor(g.kind, g.first, x[k], other[k]);
    }
  }
  put_elements<V>(static_cast<T*>(g.out) + at.row * g.out_stride + i, d, g.add);
}

}  // namespace

void elementwise_forward(const ElementwiseArgs& a) {
  if (a.rows == 0 || a.columns == 0) return;
  with_device_type(a.type, "elementwise_forward", [&]<class T>() {
    constexpr int V = kVector<T>;
    if (a.columns % V == 0 && a.a_stride % V == 0 &&
        moves_together<V, T>(a.b_stride, a.a, a.b, a.y)) {
      const RowGrid grid(a.rows, a.columns / V);
      combine<T, V><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    } else {
      const RowGrid grid(a.rows, a.columns);
      combine<T, 1><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    }
  });
  launched("elementwise_forward");
}

void elementwise_backward(const ElementwiseArgs& a) {
  if (a.rows == 0 || a.columns == 0) return;
  const bool first = a.da != nullptr;
  const Derivative g{.own = first ? a.a : a.b,
                     .other = first ? a.b : a.a,
                     .dy = a.dy,
                     .out = first ? a.da : a.db,
                     .own_stride = first ? a.a_stride : a.b_stride,
                     .other_stride = first ? a.b_stride : a.a_stride,
                     .out_stride = first ? a.da_stride : a.db_stride,
                     .dy_stride = a.dy_stride,
                     .rows = a.rows,
                     .columns = a.columns,
                     .kind = a.kind,
                     .first = first,
                     .add = first ? a.da_add : a.db_add};
  with_device_type(a.type, "elementwise_backward", [&]<class T>() {
    constexpr int V = kVector<T>;
    if (g.columns % V == 0 && g.own_stride % V == 0 && g.other_stride % V == 0 &&
        g.out_stride % V == 0 && moves_together<V, T>(g.dy_stride, g.own, g.other, g.dy, g.out)) {
      const RowGrid grid(g.rows, g.columns / V);
      differentiate<T, V><<<grid.blocks, grid.block, 0, stream()>>>(g, grid.column_blocks);
    } else {
      const RowGrid grid(g.rows, g.columns);
      differentiate<T, 1><<<grid.blocks, grid.block, 0, stream()>>>(g, grid.column_blocks);
    }
  });
  launched("elementwise_backward");
}

}  // namespace farsight::cuda
