// A thread has a vector of channels of consecutive rows, a row being a token of any sequence. Forward:
// eight rows and the one before them, asked for at once. Backward: a share of the rows, four of them
// and the one behind at a time, with the sums of dmix in registers; a second kernel adds the shares
// in order.
//
// Floor: x read once, every y_i written once; x and every dy_i read once, dx written once.
#include "cuda/device.cuh"
#include "ops/token_shift.h"

namespace farsight::cuda {
namespace {

constexpr int kForwardRows = 8, kBackwardRows = 4;

template <class T, int V>
struct Columns {
  const TokenShiftArgs& a;
  std::int64_t d;

  __device__ bool starts(std::int64_t row) const {
    return a.position != nullptr && a.position[row] == 0;
  }
  __device__ void load(Packed<T, V>& to, const void* from, std::int64_t stride,
                       std::int64_t row) const {
    to.load(static_cast<const T*>(from) + row * stride + d);
  }
  /// What stands before `row`, whose step is t: zeros, or the caller's token, at the beginning of a
  /// sequence; else `earlier`, the row before it.
  __device__ void past(std::int64_t row, int t, const Packed<T, V>& earlier, float (&to)[V]) const {
#pragma unroll
    for (int k = 0; k < V; k++) {
      to[k] = 0;
    }
    if (starts(row)) return;
    if (t > 0) {
      earlier.to(to);
    } else if (a.before != nullptr) {
      load_elements<V>(static_cast<const T*>(a.before) + row / a.T * a.D + d, to);
    }
  }
  __device__ void mix(int i, float (&to)[V]) const {
    load_elements<V>(static_cast<const float*>(a.mix[i]) + d, to);
  }
};

template <class T, int V, int kMixes>
__global__ void __launch_bounds__(RowGrid::kThreads, 2)
    shift(const __grid_constant__ TokenShiftArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);
  const std::int64_t begin = at.row * kForwardRows, rows = a.B * a.T;
  const Columns<T, V> columns{a, at.column * V};
  if (begin >= rows || columns.d >= a.D) return;
  Packed<T, V> x[kForwardRows + 1];  // the first is the row before
  if (begin > 0) columns.load(x[0], a.x, a.x_stride, begin - 1);
#pragma unroll
  for (int i = 0; i < kForwardRows; i++) {
    if (begin + i < rows) columns.load(x[i + 1], a.x, a.x_stride, begin + i);
  }
  float mix[kMixes][V];
#pragma unroll
  for (int m = 0; m < kMixes; m++) {
    columns.mix(m, mix[m]);
  }
  const int steps = int(a.T);
  int t = int(begin) % steps;
#pragma unroll
  for (int i = 0; i < kForwardRows; i++) {
    const std::int64_t row = begin + i;
    if (row >= rows) break;
    float own[V], past[V];
    x[i + 1].to(own);
    columns.past(row, t, x[i], past);
#pragma unroll
    for (int m = 0; m < kMixes; m++) {
      float y[V];
#pragma unroll
      for (int k = 0; k < V; k++) {
        y[k] = mix[m][k] * own[k] + (1.0f - mix[m][k]) * past[k];
      }
      store_elements<V>(static_cast<T*>(a.y[m]) + row * a.D + columns.d, y);
    }
    t = t + 1 < steps ? t + 1 : 0;
    if (t == 0 && a.last != nullptr) {
      store_elements<V>(static_cast<T*>(a.last) + row / a.T * a.D + columns.d, own);
    }
  }
}

template <class T, int V, int kMixes>
__global__ void __launch_bounds__(RowGrid::kThreads, sizeof(T) == 2 ? 2 : 1)
    differentiate(const __grid_constant__ TokenShiftArgs a, unsigned column_blocks) {
  const RowPlace at = row_place(column_blocks);  // of the shares
  const std::int64_t rows = a.B * a.T;
  const Columns<T, V> columns{a, at.column * V};
  if (at.row >= a.shares || columns.d >= a.D) return;
  float mix[kMixes][V], sums[kMixes][V] = {};
#pragma unroll
  for (int m = 0; m < kMixes; m++) {
    columns.mix(m, mix[m]);
  }
  const std::int64_t first = rows * at.row / a.shares, end = rows * (at.row + 1) / a.shares;
  const int steps = int(a.T);
  int t = int(first) % steps;
  for (std::int64_t begin = first; begin < end; begin += kBackwardRows) {
    Packed<T, V> x[kBackwardRows + 1];           // the first is the row before
    Packed<T, V> dy[kMixes][kBackwardRows + 1];  // the last is the row behind
    if (begin > 0) columns.load(x[0], a.x, a.x_stride, begin - 1);
#pragma unroll
    for (int i = 0; i < kBackwardRows + 1; i++) {
      if (begin + i >= rows) break;
      if (i < kBackwardRows) columns.load(x[i + 1], a.x, a.x_stride, begin + i);
#pragma unroll
      for (int m = 0; m < kMixes; m++) {
        if (a.dy[m] != nullptr) columns.load(dy[m][i], a.dy[m], a.D, begin + i);
      }
    }
#pragma unroll
    for (int i = 0; i < kBackwardRows; i++) {
      const std::int64_t row = begin + i;
      if (row >= end) break;
      const bool goes_on = t + 1 < steps && !columns.starts(row + 1);
      float own[V], past[V], dx[V] = {};
      x[i + 1].to(own);
      columns.past(row, t, x[i], past);
      t = t + 1 < steps ? t + 1 : 0;
#pragma unroll
      for (int m = 0; m < kMixes; m++) {
        if (a.dy[m] == nullptr) continue;
        float here[V], next[V] = {};
        dy[m][i].to(here);
        if (goes_on) dy[m][i + 1].to(next);
#pragma unroll
        for (int k = 0; k < V; k++) {
          dx[k] += mix[m][k] * here[k] + (1.0f - mix[m][k]) * next[k];
          sums[m][k] += here[k] * (own[k] - past[k]);
        }
      }
      if (a.dx == nullptr) continue;
      put_elements<V>(static_cast<T*>(a.dx) + row * a.dx_stride + columns.d, dx, a.dx_add);
    }
  }
#pragma unroll
  for (int m = 0; m < kMixes; m++) {
    store_elements<V>(static_cast<float*>(a.partial) + (at.row * kMixes + m) * a.D + columns.d,
                      sums[m]);
  }
}

/// blockIdx.y: which mix.
__global__ void __launch_bounds__(1024) sum_shares(const __grid_constant__ TokenShiftArgs a) {
  const int m = int(blockIdx.y);
  if (a.dmix[m] == nullptr) return;  // the whole block
  const std::int64_t d = std::int64_t(blockIdx.x) * 32 + threadIdx.x;
  const float* partial = static_cast<const float*>(a.partial) + m * a.D;
  const float sum = sum_of_shares(partial, a.shares, a.mixes * a.D, d < a.D ? d : -1);
  if (threadIdx.y == 0 && d < a.D) put(static_cast<float*>(a.dmix[m]) + d, sum, a.dmix_add[m]);
}

/// f.template operator()<T, V, mixes>(): V as wide as every address allows.
template <int kWide, class F>
void choose(const TokenShiftArgs& a, const char* kernel, F f) {
  with_device_type(a.type, kernel, [&]<class T>() {
    constexpr int V = kWide * int(sizeof(T)) <= 16 ? kWide : 16 / int(sizeof(T));
    const bool wide = a.D % V == 0 && a.dx_stride % V == 0 &&
                      moves_together<V, T>(a.x_stride, a.x, a.before, a.last, a.dx, a.y[0], a.y[1],
                                           a.y[2], a.dy[0], a.dy[1], a.dy[2]) &&
                      moves_together<4, float>(0, a.mix[0], a.mix[1], a.mix[2], a.partial);
    const auto with_mixes = [&]<int kVector>() {
      if (a.mixes == 1) f.template operator()<T, kVector, 1>();
      if (a.mixes == 2) f.template operator()<T, kVector, 2>();
      if (a.mixes == 3) f.template operator()<T, kVector, 3>();
    };
    wide ? with_mixes.template operator()<V>() : with_mixes.template operator()<1>();
  });
}

}  // namespace

void token_shift_forward(const TokenShiftArgs& a) {
  if (a.B * a.T == 0 || a.D == 0) return;
  choose<8>(a, "token_shift_forward", [&]<class T, int V, int kMixes>() {
    const RowGrid grid((a.B * a.T + kForwardRows - 1) / kForwardRows, a.D / V);
    shift<T, V, kMixes><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
  });
  launched("token_shift_forward");
}

void token_shift_backward(const TokenShiftArgs& a) {
  if (a.D == 0) return;
  choose<4>(a, "token_shift_backward", [&]<class T, int V, int kMixes>() {
    const RowGrid grid(a.shares, a.D / V);
    differentiate<T, V, kMixes><<<grid.blocks, grid.block, 0, stream()>>>(a, grid.column_blocks);
  });
  launched("token_shift_backward");
  const dim3 sums(static_cast<unsigned>(blocks_for(a.D, 32)), static_cast<unsigned>(a.mixes));
  sum_shares<<<sums, dim3(32, 32), 0, stream()>>>(a);
  launched("token_shift_backward, sums of dmix");
}

}  // namespace farsight::cuda
