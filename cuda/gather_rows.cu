// Rows x columns, a thread a vector of columns of one gathered row. Rows are distinct, so that the
// backward's threads never meet. Floor: R rows read and written; backward also x_rows zeroed.
//
// What the CPU refuses (a row outside x) cannot be refused here without waiting for the device:
// whoever makes `rows` checks them on the host. Such a row gives zeros, as -1 does.
#include "ops/gather_rows.h"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

template <class T, int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    gather(const __grid_constant__ GatherRowsArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t i = at.column * V;
  if (at.row >= a.R || i >= a.D) return;
  const std::int64_t row = a.rows[at.row];
  float x[V] = {};
  if (row >= 0 && row < a.x_rows) {
    load_elements<V>(static_cast<const T*>(a.x) + row * a.x_stride + i, x);
  }
  store_elements<V>(static_cast<T*>(a.y) + at.row * a.D + i, x);
}

template <class T, int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    scatter(const __grid_constant__ GatherRowsArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t i = at.column * V;
  if (at.row >= a.R || i >= a.D) return;
  const std::int64_t row = a.rows[at.row];
  if (row < 0 || row >= a.x_rows) return;
  float d[V];
  load_elements<V>(static_cast<const T*>(a.dy) + at.row * a.D + i, d);
  put_elements<V>(static_cast<T*>(a.dx) + row * a.dx_stride + i, d, a.dx_add);
}

}  // namespace

void gather_rows_forward(const GatherRowsArgs& a) {
  if (a.R == 0 || a.D == 0) return;
  with_device_type(a.type, "gather_rows_forward", [&]<class T>() {
    constexpr int V = kVector<T>;
    if (a.D % V == 0 && moves_together<V, T>(a.x_stride, a.x, a.y)) {
      const RowGrid grid(a.R, a.D / V);
      gather<T, V><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    } else {
      const RowGrid grid(a.R, a.D);
      gather<T, 1><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    }
  });
  launched("gather_rows_forward");
}

void gather_rows_backward(const GatherRowsArgs& a) {
  if (a.x_rows == 0 || a.D == 0) return;
  const auto size = static_cast<std::size_t>(size_of(a.type));
  if (!a.dx_add) {
    cudaMemset2DAsync(a.dx, static_cast<std::size_t>(a.dx_stride) * size, 0,
                      static_cast<std::size_t>(a.D) * size, static_cast<std::size_t>(a.x_rows),
                      stream());
  }
  if (a.R == 0) return launched("gather_rows_backward");
  with_device_type(a.type, "gather_rows_backward", [&]<class T>() {
    constexpr int V = kVector<T>;
    if (a.D % V == 0 && moves_together<V, T>(a.dx_stride, a.dy, a.dx)) {
      const RowGrid grid(a.R, a.D / V);
      scatter<T, V><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    } else {
      const RowGrid grid(a.R, a.D);
      scatter<T, 1><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    }
  });
  launched("gather_rows_backward");
}

}  // namespace farsight::cuda
