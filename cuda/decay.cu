// Rows x columns, a thread an element: a filter is small beside the sequences that it meets.
#include "ops/decay.h"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(RowGrid::kThreads)
    apply(const __grid_constant__ DecayArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  if (at.row >= a.K || at.column >= a.D) return;
  const float rate = float(a.rates.rate(at.column, a.D));
  const float x = to_float(static_cast<const T*>(a.x)[at.row * a.x_stride + at.column]);
  put(static_cast<T*>(a.y) + at.row * a.y_stride + at.column,
      x * expf(-rate * float(a.rates.time(at.row))), a.y_add);
}

}  // namespace

void decay_apply(const DecayArgs& a) {
  if (a.K == 0 || a.D == 0) return;
  with_device_type(a.type, "decay_apply", [&]<class T>() {
    const RowGrid grid(a.K, a.D);
    apply<T><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
  });
  launched("decay_apply");
}

}  // namespace farsight::cuda
