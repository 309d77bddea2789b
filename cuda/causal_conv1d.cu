// Short kernels forward, K <= 8. [B, T, D]: a thread owns V channels and walks a tile of 32 time steps
// with the last W rows of x in registers, so that x is read once (and W - 1 rows again at a tile's
// beginning, mostly from L2). Neighbouring threads have neighbouring channels; the rows of a block
// are neighbouring tiles. Packed rows: where a sequence starts the window is emptied.
//
// Floor: 2 B T D elements.
#include "cuda/causal_conv1d_short.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = RowGrid::kThreads;
constexpr int kTile = 32;     // steps of a thread's walk
constexpr int kTogether = 4;  // steps whose loads are under way at once

/// The last W rows of x.
template <int V, int W>
struct Window {
  float x[W][V] = {};

  __device__ void push(const float (&next)[V], bool starts) {
#pragma unroll
    for (int i = W - 1; i > 0; i--) {
#pragma unroll
      for (int k = 0; k < V; k++) {
        x[i][k] = x[i - 1][k];
      }
    }
    if (starts) {
#pragma unroll
      for (int i = 1; i < W; i++) {
#pragma unroll
        for (int k = 0; k < V; k++) {
          x[i][k] = 0;
        }
      }
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
      x[0][k] = next[k];
    }
  }

  __device__ void product(const Conv1dArgs& a, const Taps<V, W>& taps, float (&m)[V]) const {
#pragma unroll
    for (int k = 0; k < V; k++) {
      m[k] = taps.bias[k];
    }
#pragma unroll
    for (int i = W - 1; i >= 0; i--) {
      if (!has_tap<W>(a, i)) continue;
#pragma unroll
      for (int k = 0; k < V; k++) {
        m[k] += taps.w[i][k] * x[i][k];
      }
    }
  }
};

/// A tile of one row.
struct Tile {
  std::int64_t b;
  int begin, end;

  __device__ Tile(const Conv1dArgs& a, std::int64_t tile) {
    const std::int64_t tiles = (a.T + kTile - 1) / kTile;
    b = tile / tiles;
    begin = int(tile - b * tiles) * kTile;
    end = min(begin + kTile, int(a.T));
  }
};

/// The window as it stands before the tile.
template <int V, int W, class T>
__device__ inline void fill(Window<V, W>& window, const Conv1dArgs& a, const Tile& tile,
                            std::int64_t d) {
#pragma unroll
  for (int i = W - 1; i > 0; i--) {
    float x[V];
    load_input<V, T>(a, tile.b, tile.begin - i, d, x);
    window.push(x, starts_at(a, tile.b, tile.begin - i));
  }
}

template <class T, int V, int W>
__global__ void __launch_bounds__(kThreads, 3)
    conv_forward(const __grid_constant__ Conv1dArgs a, std::int64_t tiles, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t d = at.column * V;
  if (at.row >= tiles || d >= a.D) return;
  const Tile tile(a, at.row);
  const Taps<V, W> taps(a, d);
  Window<V, W> window;
  fill<V, W, T>(window, a, tile, d);
  const T* x = static_cast<const T*>(a.x) + tile.b * a.T * a.x_stride + d;
  T* y = static_cast<T*>(a.y) + tile.b * a.T * a.D + d;
  Packed<T, V> next[kTogether];
  const auto load = [&](int t) {
#pragma unroll
    for (int s = 0; s < kTogether; s++) {
      next[s].load(x + std::int64_t(min(t + s, tile.end - 1)) * a.x_stride);
    }
  };
  load(tile.begin);
#pragma unroll 1
  for (int t = tile.begin; t < tile.end; t += kTogether) {
    Packed<T, V> now[kTogether];
#pragma unroll
    for (int s = 0; s < kTogether; s++) {
      now[s] = next[s];
    }
    load(t + kTogether);
#pragma unroll
    for (int s = 0; s < kTogether; s++) {
      float newest[V];
      now[s].to(newest);
      window.push(newest, starts_at(a, tile.b, t + s));
      float m[V];
      window.product(a, taps, m);
      if (a.silu) {
#pragma unroll
        for (int k = 0; k < V; k++) {
          m[k] = silu(m[k]);
        }
      }
      if (t + s < tile.end) store_elements<V>(y + (t + s) * a.D, m);
    }
  }
}

__global__ void __launch_bounds__(1024) sum_shares(const __grid_constant__ Conv1dArgs a) {
  const std::int64_t count = (a.K + 1) * a.D, at = std::int64_t(blockIdx.x) * 32 + threadIdx.x;
  const float sum =
      sum_of_shares(static_cast<const float*>(a.partial), a.shares, count, at < count ? at : -1);
  if (threadIdx.y != 0 || at >= count) return;
  const std::int64_t j = at / a.D, d = at - j * a.D;
  if (j < a.K) {
    if (a.dw != nullptr) put(static_cast<float*>(a.dw) + d * a.K + j, sum, a.dw_add);
  } else if (a.dbias != nullptr) {
    put(static_cast<float*>(a.dbias) + d, sum, a.dbias_add);
  }
}

std::int64_t tiles_of(const Conv1dArgs& a) {
  return a.B * ((a.T + kTile - 1) / kTile);
}

}  // namespace

void sum_conv1d_shares(const Conv1dArgs& a) {
  if ((a.dw == nullptr && a.dbias == nullptr) || a.D == 0) return;
  sum_shares<<<blocks_for((a.K + 1) * a.D, 32), dim3(32, 32), 0, stream()>>>(a);
  launched("causal_conv1d_backward, sum of dw");
}

void causal_conv1d_forward(const Conv1dArgs& a) {
  if (a.B * a.T * a.D == 0) return;
  if (a.K > kShortKernel) return long_conv1d_forward(a);
  with_short_instance(a, "causal_conv1d_forward", [&]<class T, int V, int W>() {
    const std::int64_t tiles = tiles_of(a);
    const RowGrid grid(tiles, (a.D + V - 1) / V);
    conv_forward<T, V, W><<<grid.blocks, grid.block, 0, stream()>>>(a, tiles, grid.column_blocks);
  });
  launched("causal_conv1d_forward");
}

void causal_conv1d_backward(const Conv1dArgs& a) {
  if (a.B * a.T * a.D > 0) {
    a.K > kShortKernel ? long_conv1d_backward(a) : short_conv1d_backward(a);
  }
  sum_conv1d_shares(a);
}

}  // namespace farsight::cuda
