// multiply_plainly: a block owns a 16 x 16 tile of C and walks K in steps of 16 through shared
// memory; a thread owns one element and adds in the order of k. Not fast: a refuge.
// sum_columns: a block owns 32 vectors of columns and a share of the rows; its 8 warps take every eighth
// row, and their sums are added in warp order; a second kernel adds the shares. Floor: one read of dy.
#include "cuda/linear_kernels.cuh"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

constexpr int kTile = 16;
constexpr int kThreads = 256;
constexpr int kColumns = 32, kRowWarps = 8;  // vectors of columns

template <class T, class C>
__global__ void __launch_bounds__(kTile* kTile) product(const __grid_constant__ Product p) {
  __shared__ float a_tile[kTile][kTile + 1], b_tile[kTile][kTile + 1];
  const T *a = static_cast<const T*>(p.a), *b = static_cast<const T*>(p.b);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const std::int64_t row0 = std::int64_t(blockIdx.x) * kTile;
  // Tiles of columns beyond what a grid can have are taken in turn.
  for (std::int64_t column0 = std::int64_t(blockIdx.y) * kTile; column0 < p.n;
       column0 += std::int64_t(gridDim.y) * kTile) {
    const std::int64_t row = row0 + y, column = column0 + x;
    float sum = 0;
    for (std::int64_t k0 = 0; k0 < p.k; k0 += kTile) {
      // a_tile[i][j] = A[row0 + i, k0 + j], b_tile[i][j] = B[k0 + i, column0 + j].
      if (p.transpose_a) {
        const bool in = k0 + y < p.k && row0 + x < p.m;
        a_tile[x][y] = in ? to_float(a[(k0 + y) * p.a_stride + row0 + x]) : 0.0f;
      } else {
        const bool in = row < p.m && k0 + x < p.k;
        a_tile[y][x] = in ? to_float(a[row * p.a_stride + k0 + x]) : 0.0f;
      }
      if (p.transpose_b) {
        const bool in = column0 + y < p.n && k0 + x < p.k;
        b_tile[x][y] = in ? to_float(b[(column0 + y) * p.b_stride + k0 + x]) : 0.0f;
      } else {
        const bool in = k0 + y < p.k && column < p.n;
        b_tile[y][x] = in ? to_float(b[(k0 + y) * p.b_stride + column]) : 0.0f;
      }
      __syncthreads();
#pragma unroll
      for (int k = 0; k < kTile; k++) {
        sum = fmaf(a_tile[y][k], b_tile[k][x], sum);
      }
      __syncthreads();
    }
    if (row < p.m && column < p.n) {
      if (p.bias != nullptr) sum += to_float(static_cast<const C*>(p.bias)[column]);
      put(static_cast<C*>(p.c) + row * p.c_stride + column, sum, p.add);
    }
  }
}

__global__ void __launch_bounds__(kThreads) round_all(const float* from, std::int64_t N, bf16* to) {
  const std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i < N) to[i] = from_float<bf16>(from[i]);
}

template <class T, int V>
__global__ void __launch_bounds__(kColumns* kRowWarps)
    column_sums(const __grid_constant__ LinearArgs a) {
  __shared__ float sums[kRowWarps][kColumns * V];
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const std::int64_t n = (std::int64_t(blockIdx.x) * kColumns + lane) * V;
  const std::int64_t end = a.rows * (blockIdx.y + 1) / a.shares;
  float sum[V] = {};
  if (n < a.N) {
    const T* dy = static_cast<const T*>(a.dy) + n;
#pragma unroll 4
    for (std::int64_t row = a.rows * blockIdx.y / a.shares + warp; row < end; row += kRowWarps) {
      float x[V];
      load_elements<V>(dy + row * a.dy_stride, x);
#pragma unroll
      for (int k = 0; k < V; k++) {
        sum[k] += x[k];
      }
    }
  }
#pragma unroll
  for (int k = 0; k < V; k++) {
    sums[warp][k * kColumns + lane] = sum[k];
  }
  __syncthreads();
  if (n >= a.N || warp >= V) return;
  float total = 0;  // of the lane's column number `warp`
#pragma unroll
  for (int i = 0; i < kRowWarps; i++) {
    total += sums[i][warp * kColumns + lane];
  }
  a.partial[blockIdx.y * a.N + n + warp] = total;
}

__global__ void __launch_bounds__(1024) sum_shares(const __grid_constant__ LinearArgs a) {
  const std::int64_t n = std::int64_t(blockIdx.x) * 32 + threadIdx.x;
  const float sum = sum_of_shares(a.partial, a.shares, a.N, n < a.N ? n : -1);
  if (threadIdx.y == 0 && n < a.N) put(static_cast<float*>(a.dbias) + n, sum, a.dbias_add);
}

}  // namespace

void multiply_plainly(const Product& p) {
  if (p.m == 0 || p.n == 0) return;
  if (p.batch > 1) {
    const auto at = [](const void* from, std::int64_t elements, DType type) {
      return static_cast<const char*>(from) + elements * size_of(type);
    };
    for (std::int64_t i = 0; i < p.batch; i++) {
      Product one = p;
      one.batch = 1;
      one.a = at(p.a, i * p.a_step, p.type);
      one.b = at(p.b, i * p.b_step, p.type);
      one.c = static_cast<char*>(p.c) + i * p.c_step * size_of(p.c_type);
      multiply_plainly(one);
    }
    return;
  }
  constexpr std::int64_t kMostBlocks = 65535;
  const std::int64_t columns = (p.n + kTile - 1) / kTile;
  const dim3 grid(static_cast<unsigned>(blocks_for(p.m, kTile)),
                  static_cast<unsigned>(columns < kMostBlocks ? columns : kMostBlocks));
  const dim3 block(kTile, kTile);
  with_device_type(p.type, "linear", [&]<class T>() {
    if (p.c_type == p.type) {
      product<T, T><<<grid, block, 0, stream()>>>(p);
    } else {
      product<T, float><<<grid, block, 0, stream()>>>(p);
    }
  });
  launched("linear, plain product");
}

void round_bias(const float* bias, std::int64_t N, bf16* rounded) {
  if (N == 0) return;
  round_all<<<blocks_for(N, kThreads), kThreads, 0, stream()>>>(bias, N, rounded);
  launched("linear, bias");
}

void sum_columns(const LinearArgs& a) {
  if (a.N == 0) return;
  const dim3 block(kColumns, kRowWarps);
  with_device_type(a.type, "linear", [&]<class T>() {
    const auto start = [&](auto kernel, int columns) {
      const dim3 grid(static_cast<unsigned>(blocks_for(a.N, columns)),
                      static_cast<unsigned>(a.shares));
      kernel<<<grid, block, 0, stream()>>>(a);
    };
    constexpr int V = kVector<T>;
    if (a.N % V == 0 && moves_together<V, T>(a.dy_stride, a.dy)) {
      start(column_sums<T, V>, kColumns * V);
    } else {
      start(column_sums<T, 1>, kColumns);
    }
  });
  launched("linear, gradient of bias");
  sum_shares<<<blocks_for(a.N, 32), dim3(32, 32), 0, stream()>>>(a);
  launched("linear, gradient of bias, shares");
}

}  // namespace farsight::cuda
