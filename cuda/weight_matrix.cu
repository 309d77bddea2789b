// The last step of the kernels of weight_matrix.cuh: a thread an entry.
#include "cuda/weight_matrix.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) add_shares(const __grid_constant__ MatrixArgs m) {
  const std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t count = m.rows * m.T;
  if (i >= count) return;
  const std::int64_t r = i / m.T, s = i % m.T;
  float sum = 0;
  if (s <= m.row + r) {
    for (std::int64_t share = 0; share < m.shares; share++) {
      sum += static_cast<const float*>(m.partial)[share * count + i];
    }
  }
  static_cast<float*>(m.m)[i] = sum / float(m.channels);
}

}  // namespace

void finish_matrix(const MatrixArgs& m) {
  add_shares<<<blocks_for(m.rows * m.T, kThreads), kThreads, 0, stream()>>>(m);
  launched("weight matrix, shares of channels");
}

}  // namespace farsight::cuda
