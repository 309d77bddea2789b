// Short kernels backward, K <= 8: x and dy are read once, dx is written, dw and dbias summed, in one
// pass. A thread owns V channels and walks runs of time steps (causal_conv1d_walk.cuh).
//
// A block has kMostLanes columns of threads (V channels each) and several rows of them, one run each;
// it walks through its share of the runs with dw and dbias in registers, and adds its rows up in order
// into partial[share].
//
// Floor: 3 B T D elements (4 where dx is added to).
#include "cuda/causal_conv1d_walk.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = kWalkThreads;
constexpr int kMostLanes = 64;
constexpr int kLongRun = 64, kShortRun = 16;

/// How the work is cut: every row of B into `per_row` runs of `length` steps, a multiple of W.
struct Runs {
  int length = 0, per_row = 0;
  std::int64_t count = 0;
};

template <class T, int V, int W, class F>
__global__ void __launch_bounds__(kThreads, W == 4 ? 2 : 1)
    conv_backward(const __grid_constant__ Conv1dArgs a, const __grid_constant__ Runs runs,
                  unsigned column_blocks) {
  extern __shared__ uint4 shared[];
  using W_ = Walk<T, V, W, F>;
  const std::int64_t share = blockIdx.x / column_blocks;
  const std::int64_t column = std::int64_t(blockIdx.x % column_blocks) * blockDim.x * V;
  const std::int64_t d = column + threadIdx.x * V;
  float dw[W][V] = {}, dbias[V] = {};
  if (d < a.D) {
    W_ walk(a, d, reinterpret_cast<typename W_::Raw*>(shared));
    const std::int64_t end = runs.count * (share + 1) / a.shares;
#pragma unroll 1
    for (std::int64_t at = runs.count * share / a.shares + threadIdx.y; at < end;
         at += blockDim.y) {
      const std::int64_t b = at / runs.per_row;
      walk.run(b, int(at - b * runs.per_row) * runs.length, runs.length);
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
      dbias[k] = walk.dbias[k];
#pragma unroll
      for (int i = 0; i < W; i++) {
        dw[i][k] = walk.dw[i][k];
      }
    }
  }

  // The rows of the block, one tap at a time. A thread then sums one channel of them.
  __shared__ float rows[kThreads * V];
  const int width = int(blockDim.x) * V, me = int(threadIdx.y * blockDim.x + threadIdx.x);
  float* partial = static_cast<float*>(a.partial) + share * (a.K + 1) * a.D;
#pragma unroll
  for (int i = 0; i <= W; i++) {
    if (i < W && i >= a.K) continue;  // the whole grid
    __syncthreads();
#pragma unroll
    for (int k = 0; k < V; k++) {
      rows[me * V + k] = i < W ? dw[i < W ? i : 0][k] : dbias[k];
    }
    __syncthreads();
    for (int from = me; from < width; from += kThreads) {
      float total = 0;
      for (int row = 0; row < int(blockDim.y); row++) {
        total += rows[row * width + from];
      }
      if (column + from < a.D) partial[(i < W ? a.K - 1 - i : a.K) * a.D + column + from] = total;
    }
  }
}

template <class T, int V, int W, class F>
void launch(const Conv1dArgs& a) {
  const std::int64_t columns = (a.D + V - 1) / V;
  unsigned lanes = kMostLanes;
  while (lanes > 1 && lanes / 2 >= columns) {
    lanes /= 2;
  }
  const unsigned rows = kThreads / lanes;
  Runs runs;
  int longest = kLongRun;
  do {  // long runs look little ahead; but there should be one for every row of every block
    runs.per_row = int((a.T + longest - 1) / longest);
    runs.length = int((a.T + runs.per_row - 1) / runs.per_row + W - 1) / W * W;
    runs.count = a.B * runs.per_row;
    longest /= 2;
  } while (longest >= kShortRun && runs.count < a.shares * rows);
  constexpr int kBytes = Walk<T, V, W, F>::kSlots * kThreads * V * int(sizeof(T));
  succeeded(cudaFuncSetAttribute(conv_backward<T, V, W, F>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
            "cudaFuncSetAttribute");
  const unsigned column_blocks = unsigned((columns + lanes - 1) / lanes);
  conv_backward<T, V, W, F>
      <<<unsigned(a.shares) * column_blocks, dim3(lanes, rows), kBytes, stream()>>>(a, runs,
                                                                                    column_blocks);
}

}  // namespace

void short_conv1d_backward(const Conv1dArgs& a) {
  with_short_instance(a, "causal_conv1d_backward", [&]<class T, int V, int W>() {
    const bool known = a.dx != nullptr && a.history == nullptr && a.dhistory == nullptr;
    if constexpr (W == 4 && V > 1) {
      if (known && !a.silu && a.position == nullptr && !a.dx_add) {
        return launch<T, V, W, Facts<true, false, false, false>>(a);
      }
      if (known && a.silu && a.position == nullptr) {
        return a.dx_add ? launch<T, V, W, Facts<true, false, true>>(a)
                        : launch<T, V, W, Facts<true, false, false>>(a);
      }
      if (known && a.silu) {
        return a.dx_add ? launch<T, V, W, Facts<true, true, true>>(a)
                        : launch<T, V, W, Facts<true, true, false>>(a);
      }
    }
    launch < T, V<2 ? V : 2, W, Facts<false>>(a);  // the tests take registers
  });
  launched("causal_conv1d_backward");
}

}  // namespace farsight::cuda
