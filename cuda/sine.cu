// Forward: a thread an element. Backward: a block has 32 columns of a chunk of rows, and its 32 rows of
// threads share them; the chunks' sums are added afterwards. All sums have one order. A filter has
// thousands of rows of 64 columns: small.
#include "ops/sine.h"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

constexpr int kSide = 32;

template <class T>
__global__ void __launch_bounds__(RowGrid::kThreads)
    forward(const __grid_constant__ SineArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  if (at.row >= a.rows || at.column >= a.D) return;
  const float x = to_float(static_cast<const T*>(a.x)[at.row * a.x_stride + at.column]);
  const float y = sinf(static_cast<const float*>(a.frequency)[at.column] * x);
  static_cast<T*>(a.y)[at.row * a.D + at.column] = from_float<T>(y);
}

template <class T>
__global__ void __launch_bounds__(kSide* kSide) backward(const __grid_constant__ SineArgs a) {
  __shared__ float sums[kSide][kSide];
  const unsigned column_blocks = unsigned((a.D + kSide - 1) / kSide);
  const std::int64_t d = std::int64_t(blockIdx.x % column_blocks) * kSide + threadIdx.x;
  const std::int64_t chunk = blockIdx.x / column_blocks;
  float sum = 0;
  if (d < a.D) {
    const float frequency = static_cast<const float*>(a.frequency)[d];
#pragma unroll
    for (int i = 0; i < int(kSineChunk); i += kSide) {
      const std::int64_t row = chunk * kSineChunk + i + threadIdx.y;
      if (row >= a.rows) continue;
      const float x = to_float(static_cast<const T*>(a.x)[row * a.x_stride + d]);
      const float dy = to_float(static_cast<const T*>(a.dy)[row * a.dy_stride + d]);
      const float slope = cosf(frequency * x) * dy;
      sum += x * slope;
      if (a.dx != nullptr) {
        put(static_cast<T*>(a.dx) + row * a.dx_stride + d, frequency * slope, a.dx_add);
      }
    }
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || d >= a.D) return;
#pragma unroll
  for (int i = 1; i < kSide; i++) {
    sum += sums[i][threadIdx.x];
  }
  a.partial[chunk * a.D + d] = sum;
}

__global__ void __launch_bounds__(kSide* kSide)
    add_chunks(const __grid_constant__ SineArgs a, std::int64_t chunks) {
  const std::int64_t d = std::int64_t(blockIdx.x) * kSide + threadIdx.x;
  const float sum = sum_of_shares(a.partial, chunks, a.D, d < a.D ? d : -1);
  if (threadIdx.y == 0 && d < a.D) {
    put(static_cast<float*>(a.dfrequency) + d, sum, a.dfrequency_add);
  }
}

}  // namespace

void sine_forward(const SineArgs& a) {
  if (a.rows == 0 || a.D == 0) return;
  with_device_type(a.type, "sine_forward", [&]<class T>() {
    const RowGrid grid(a.rows, a.D);
    forward<T><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
  });
  launched("sine_forward");
}

void sine_backward(const SineArgs& a) {
  if (a.D == 0) return;
  const int columns = blocks_for(a.D, kSide), chunks = blocks_for(a.rows, kSineChunk);
  if (chunks > 0) {
    with_device_type(a.type, "sine_backward", [&]<class T>() {
      backward<T><<<unsigned(columns * chunks), dim3(kSide, kSide), 0, stream()>>>(a);
    });
    launched("sine_backward");
  }
  if (a.dfrequency == nullptr) return;
  add_chunks<<<unsigned(columns), dim3(kSide, kSide), 0, stream()>>>(a, chunks);
  launched("sine_backward, sum of chunks");
}

}  // namespace farsight::cuda
