// Rows x columns, a thread a vector of columns of one row: one draw of Philox for every four
// elements where the columns come in fours, else one for each. Floor: x read once, y written once.
// What is dropped, and the bits of what is kept, are the CPU's.
#include "ops/dropout.h"

#include "core/philox.h"
#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

template <class T, int V>
__global__ void __launch_bounds__(RowGrid::kThreads)
    apply(const __grid_constant__ DropoutArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t i = at.column * V;
  if (at.row >= a.rows || i >= a.columns) return;
  const std::uint64_t key = (std::uint64_t(std::uint32_t(a.pass[1])) << 32) |  //
                            std::uint32_t(a.pass[0]);
  const float scale = float(a.scale);
  const std::int64_t sequence = at.row / a.shared_rows;
  const std::uint64_t number = a.numbered ? std::uint32_t(a.pass[2 + sequence * a.shared_rows])  //
                                          : std::uint64_t(sequence);
  const std::uint64_t element = number * std::uint64_t(a.columns) + std::uint64_t(i);
  float x[V];
  load_elements<V>(static_cast<const T*>(a.x) + at.row * a.x_stride + i, x);
  if constexpr (V % 4 == 0) {  // element is a multiple of 4, as columns and i are
#pragma unroll
    for (int k = 0; k < V; k += 4) {
      const Random4 words = philox4x32(key, a.stream, (element + k) / 4);
#pragma unroll
      for (int j = 0; j < 4; j++) {
        x[k + j] = words.v[j] >= a.threshold ? x[k + j] * scale : 0.0f;
      }
    }
  } else {
    static_assert(V == 1);
    const Random4 words = philox4x32(key, a.stream, element / 4);
    const unsigned j = unsigned(element % 4);
    // No indexing by a variable: that would put the words into local memory.
    const std::uint32_t word = j == 0   ? words.v[0]
                               : j == 1 ? words.v[1]
                               : j == 2 ? words.v[2]
                                        : words.v[3];
    x[0] = word >= a.threshold ? x[0] * scale : 0.0f;
  }
  put_elements<V>(static_cast<T*>(a.y) + at.row * a.y_stride + i, x, a.y_add);
}

}  // namespace

void dropout_apply(const DropoutArgs& a) {
  if (a.rows == 0 || a.columns == 0) return;
  with_device_type(a.type, "dropout_apply", [&]<class T>() {
    constexpr int V = kVector<T>;
    if (a.columns % V == 0 && a.y_stride % V == 0 && moves_together<V, T>(a.x_stride, a.x, a.y)) {
      const RowGrid grid(a.rows, a.columns / V);
      apply<T, V><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    } else {
      const RowGrid grid(a.rows, a.columns);
      apply<T, 1><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
    }
  });
  launched("dropout_apply");
}

}  // namespace farsight::cuda
