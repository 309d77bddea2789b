// multiply_plainly: a block owns a 16 x 16 tile of C and walks K in steps of 16 through shared
// memory; a thread owns one element and adds in the order of k. Not fast: a refuge.
// add_bias: one thread an element. sum_columns: a block owns 32 columns; its 8 warps take every
// eighth row, and their sums are added in warp order. Floor: one read of x.
#include "cuda/linear_kernels.cuh"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

constexpr int kTile = 16;
constexpr int kThreads = 256;
constexpr int kColumns = 32, kRowWarps = 8;

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
      put(static_cast<C*>(p.c) + row * p.c_stride + column, sum, p.add);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    bias_to_rows(T* y, const float* from, const float* bias, std::int64_t count, std::int64_t N) {
  const std::int64_t step = std::int64_t(gridDim.x) * kThreads;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    y[i] = from_float<T>(from[i] + bias[i % N]);
  }
}

template <class T>
__global__ void __launch_bounds__(kColumns* kRowWarps)
    column_sums(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t N, float* out,
                bool add) {
  __shared__ float shares[kRowWarps][kColumns];
  const int column = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const std::int64_t n = std::int64_t(blockIdx.x) * kColumns + column;
  float sum = 0, lost = 0;
  if (n < N) {
    for (std::int64_t row = warp; row < rows; row += kRowWarps) {
      // With the rounding of each addition carried along (Kahan, 1965): rows are many.
      const float term = to_float(x[row * stride + n]) - lost;
      const float next = sum + term;
      lost = (next - sum) - term;
      sum = next;
    }
  }
  shares[warp][column] = sum;
  __syncthreads();
  if (warp != 0 || n >= N) return;
  float total = 0;
#pragma unroll
  for (int i = 0; i < kRowWarps; i++) {
    total += shares[i][column];
  }
  put(out + n, total, add);
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

void add_bias(void* y, const float* from, const float* bias, std::int64_t rows, std::int64_t N,
              DType type) {
  const std::int64_t count = rows * N;
  if (count == 0) return;
  constexpr std::int64_t kMostBlocks = 65536;
  const std::int64_t blocks = (count + kThreads - 1) / kThreads;
  const auto grid = static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
  with_device_type(type, "linear", [&]<class T>() {
    bias_to_rows<T><<<grid, kThreads, 0, stream()>>>(static_cast<T*>(y), from, bias, count, N);
  });
  launched("linear, bias");
}

void sum_columns(const void* x, std::int64_t stride, std::int64_t rows, std::int64_t N, DType type,
                 float* out, bool add) {
  if (N == 0) return;
  const dim3 block(kColumns, kRowWarps);
  with_device_type(type, "linear", [&]<class T>() {
    column_sums<T><<<blocks_for(N, kColumns), block, 0, stream()>>>(static_cast<const T*>(x),
                                                                    stride, rows, N, out, add);
  });
  launched("linear, gradient of bias");
}

}  // namespace farsight::cuda
