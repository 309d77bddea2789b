// Short kernels, K <= 8. [B, T, D]: a thread owns V channels and walks a tile of 32 time steps with
// the last W rows of x in registers, so that x is read once (and W - 1 rows again at a tile's
// beginning, mostly from L2). Neighbouring threads have neighbouring channels; the rows of a block
// are neighbouring tiles. W = 4 serves K = 4, W = 8 the others.
//
// Backward, the same walk: m is computed again from the window, c = dy silu'(m); dx of a step is
// complete W - 1 steps later, so that a tile looks that far ahead; dw and dbias of a share of the
// tiles stay in registers, and the rows of a block are added in order into partial[share].
//
// Floor: forward 2 B T D elements, backward 3 B T D.
//
// Packed rows: where a sequence starts the window is emptied, and `reach`, the steps since then,
// keeps c from the inputs before it.
#include "cuda/causal_conv1d.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = RowGrid::kThreads;
constexpr int kTile = 32;     // steps of a thread's walk
constexpr int kTogether = 4;  // steps whose loads are under way at once
constexpr int kFar = 1 << 30;
constexpr int kShortKernel = 8;

/// Whether tap i (steps back) exists; W = 4 is used for K = 4 alone.
template <int W>
__device__ inline bool has_tap(const Conv1dArgs& a, int i) {
  return W == 4 || i < a.K;
}

template <int V, int W>
struct Taps {
  float w[W][V], bias[V];  // w[i] belongs to x i steps back

  __device__ Taps(const Conv1dArgs& a, std::int64_t d) {
#pragma unroll
    for (int k = 0; k < V; k++) {
      bias[k] = static_cast<const float*>(a.bias)[d + k];
#pragma unroll
      for (int i = 0; i < W; i++) {
        w[i][k] = 0;
        if (has_tap<W>(a, i)) w[i][k] = static_cast<const float*>(a.w)[(d + k) * a.K + a.K - 1 - i];
      }
    }
  }
};

/// The last W rows of x, and how far back the sequence goes.
template <int V, int W>
struct Window {
  float x[W][V] = {};
  int reach = kFar;

  __device__ void push(const float (&next)[V], bool starts) {
    reach = starts ? 0 : reach + 1;
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

__device__ inline bool starts_at(const Conv1dArgs& a, std::int64_t b, int t) {
  return a.position != nullptr && t >= 0 && t < int(a.T) && a.position[b * a.T + t] == 0;
}

/// V channels of a row as they are stored: a load under way holds few registers.
template <class T, int V>
struct Packed {
  using Raw = typename Word<V* int(sizeof(T))>::type;
  Raw raw;

  __device__ void load(const T* from) { raw = *reinterpret_cast<const Raw*>(from); }
  __device__ void unpack(float (&x)[V]) const {
    const auto several = __builtin_bit_cast(Several<T, V>, raw);
#pragma unroll
    for (int k = 0; k < V; k++) {
      x[k] = to_float(several.elements[k]);
    }
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
      now[s].unpack(newest);
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

/// What a thread sums over its tiles.
template <int V, int W>
struct Sums {
  float dw[W][V] = {}, dbias[V] = {};
};

template <class T, int V, int W>
__device__ inline void backward_tile(const Conv1dArgs& a, const Tile& tile, std::int64_t d,
                                     const Taps<V, W>& taps, Sums<V, W>& sums) {
  Window<V, W> window;
  fill<V, W, T>(window, a, tile, d);
  const int first = tile.begin == 0 ? 1 - int(a.K) : tile.begin;  // the history belongs to 0
  const T* x = static_cast<const T*>(a.x) + tile.b * a.T * a.x_stride + d;
  const T* dy = static_cast<const T*>(a.dy) + tile.b * a.T * a.D + d;
  float dx[W][V] = {};  // dx[i]: what is known of dx i steps back
#pragma unroll 1
  for (int t = tile.begin; t < tile.end + W - 1; t += kTogether) {
    Packed<T, V> next[kTogether], gradient[kTogether];
#pragma unroll
    for (int s = 0; s < kTogether; s++) {
      next[s].load(x + std::int64_t(min(t + s, int(a.T) - 1)) * a.x_stride);
      gradient[s].load(dy + std::int64_t(min(t + s, int(a.T) - 1)) * a.D);
    }
#pragma unroll
    for (int s = 0; s < kTogether; s++) {
      float newest[V], c[V], m[V];
      next[s].unpack(newest);
      gradient[s].unpack(c);
      window.push(newest, starts_at(a, tile.b, t + s));
      window.product(a, taps, m);
      const bool inside = t + s < int(a.T), own = t + s < tile.end;
#pragma unroll
      for (int k = 0; k < V; k++) {
        if (a.silu) c[k] *= silu_derivative(m[k]);
        if (!inside) c[k] = 0;
        sums.dbias[k] += own ? c[k] : 0.0f;
      }
#pragma unroll
      for (int i = W - 1; i >= 0; i--) {
        const bool reaches = has_tap<W>(a, i) && i <= window.reach;
#pragma unroll
        for (int k = 0; k < V; k++) {
          dx[i][k] = i == 0 ? 0.0f : dx[i == 0 ? 0 : i - 1][k];
          if (reaches) dx[i][k] += taps.w[i][k] * c[k];
          if (own) sums.dw[i][k] += c[k] * window.x[i][k];
        }
      }
      const int done = t + s - (W - 1);
      if (done >= first && done < tile.end) {
        put_input_gradient<V, T>(a, tile.b, done, d, dx[W - 1]);
      }
    }
  }
}

template <class T, int V, int W>
__global__ void __launch_bounds__(kThreads, W == 4 ? 2 : 1)
    conv_backward(const __grid_constant__ Conv1dArgs a, std::int64_t tiles,
                  unsigned column_blocks) {
  const std::int64_t share = blockIdx.x / column_blocks;
  const std::int64_t column = std::int64_t(blockIdx.x % column_blocks) * blockDim.x;
  const std::int64_t d = (column + threadIdx.x) * V;
  Sums<V, W> sums;
  if (d < a.D) {
    const Taps<V, W> taps(a, d);
    const std::int64_t end = tiles * (share + 1) / a.shares;
    for (std::int64_t tile = tiles * share / a.shares + threadIdx.y; tile < end;
         tile += blockDim.y) {
      backward_tile<T, V, W>(a, Tile(a, tile), d, taps, sums);
    }
  }

  // The rows of the block, one tap at a time. A thread then sums one channel of them.
  __shared__ float rows[kThreads * V];
  const int width = int(blockDim.x) * V, me = int(threadIdx.y * blockDim.x + threadIdx.x);
  float* partial = static_cast<float*>(a.partial) + share * (a.K + 1) * a.D;
#pragma unroll
  for (int i = 0; i <= W; i++) {
    if (i < W && !has_tap<W>(a, i)) continue;  // the whole grid
    __syncthreads();
#pragma unroll
    for (int k = 0; k < V; k++) {
      rows[me * V + k] = i < W ? sums.dw[i < W ? i : 0][k] : sums.dbias[k];
    }
    __syncthreads();
    for (int from = me; from < width; from += kThreads) {
      float total = 0;
      for (int row = 0; row < int(blockDim.y); row++) {
        total += rows[row * width + from];
      }
      const std::int64_t channel = column * V + from;
      if (channel < a.D) partial[(i < W ? a.K - 1 - i : a.K) * a.D + channel] = total;
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

/// Calls f.template operator()<T, V, W>(): V channels a thread where they move together, else one.
template <class F>
void with_instance(const Conv1dArgs& a, const char* kernel, F f) {
  with_device_type(a.type, kernel, [&]<class T>() {
    constexpr int V = 8 / int(sizeof(T));  // more do not fit beside the sums of the backward
    const bool together =
        a.D % V == 0 && a.dx_stride % V == 0 &&
        moves_together<V, T>(a.x_stride, a.x, a.y, a.history, a.dy, a.dx, a.dhistory);
    if (together && a.K == 4) {
      f.template operator()<T, V, 4>();
    } else if (together) {
      f.template operator()<T, 2, kShortKernel>();
    } else if (a.K == 4) {
      f.template operator()<T, 1, 4>();
    } else {
      f.template operator()<T, 1, kShortKernel>();
    }
  });
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
  with_instance(a, "causal_conv1d_forward", [&]<class T, int V, int W>() {
    const std::int64_t tiles = tiles_of(a);
    const RowGrid grid(tiles, (a.D + V - 1) / V);
    conv_forward<T, V, W><<<grid.blocks, grid.block, 0, stream()>>>(a, tiles, grid.column_blocks);
  });
  launched("causal_conv1d_forward");
}

void causal_conv1d_backward(const Conv1dArgs& a) {
  if (a.K > kShortKernel) return long_conv1d_backward(a);
  if (a.B * a.T * a.D > 0) {
    with_instance(a, "causal_conv1d_backward", [&]<class T, int V, int W>() {
      const std::int64_t tiles = tiles_of(a);
      const RowGrid grid(tiles, (a.D + V - 1) / V);
      const unsigned blocks = unsigned(a.shares) * grid.column_blocks;
      conv_backward<T, V, W><<<blocks, grid.block, 0, stream()>>>(a, tiles, grid.column_blocks);
    });
    launched("causal_conv1d_backward");
  }
  sum_conv1d_shares(a);
}

}  // namespace farsight::cuda
