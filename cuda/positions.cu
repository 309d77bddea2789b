// Forward: a thread a vector of columns of one row. Backward: a thread a column of one place of the table,
// which walks through the batch; neighbours read side by side. Floor: x read and y written, dy read.
#include "ops/positions.h"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

template <int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    forward(const __grid_constant__ PositionsArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t d = at.column * V;
  if (at.row >= a.B * a.T || d >= a.D) return;
  float x[V], place[V];
  load_elements<V>(static_cast<const float*>(a.x) + at.row * a.D + d, x);
  load_elements<V>(static_cast<const float*>(a.table) + (a.first + at.row % a.T) * a.D + d, place);
#pragma unroll
  for (int i = 0; i < V; i++) {
    x[i] += place[i];
  }
  store_elements<V>(static_cast<float*>(a.y) + at.row * a.D + d, x);
}

__global__ void __launch_bounds__(RowGrid::kThreads)
    backward(const __grid_constant__ PositionsArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  if (at.row >= a.L || at.column >= a.D) return;
  const std::int64_t t = at.row - a.first;
  float sum = 0;
  if (t >= 0 && t < a.T) {
#pragma unroll 4
    for (std::int64_t b = 0; b < a.B; b++) {
      const std::int64_t from = (b * a.T + t) * a.D + at.column;
      const float dy = static_cast<const float*>(a.dy)[from];
      sum += dy;
      if (a.dx != nullptr) put(static_cast<float*>(a.dx) + from, dy, a.dx_add);
    }
  }
  if (a.dtable != nullptr) {
    put(static_cast<float*>(a.dtable) + at.row * a.D + at.column, sum, a.dtable_add);
  }
}

}  // namespace

void add_positions_forward(const PositionsArgs& a) {
  if (a.type != DType::f32) unsupported("add_positions_forward", name_of(a.type));
  if (a.B * a.T * a.D == 0) return;
  constexpr int V = kVector<float>;
  if (a.D % V == 0 && moves_together<V, float>(0, a.x, a.table, a.y)) {
    const RowGrid grid(a.B * a.T, a.D / V);
    forward<V><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
  } else {
    const RowGrid grid(a.B * a.T, a.D);
    forward<1><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
  }
  launched("add_positions_forward");
}

void add_positions_backward(const PositionsArgs& a) {
  if (a.type != DType::f32) unsupported("add_positions_backward", name_of(a.type));
  if (a.L * a.D == 0) return;
  const RowGrid grid(a.L, a.D);
  backward<<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
  launched("add_positions_backward");
}

}  // namespace farsight::cuda
