// What the kernels share: vectors of 16 bytes, warp and block sums in a fixed order, functions of one
// value (functions.cuh), and the launch check. A kernel file includes its operation's header
// and this, nothing else, so that it compiles in a second.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "core/dtype.h"
#include "cuda/functions.cuh"
#include "cuda/runtime.h"

namespace farsight::cuda {

// ---- storage -----------------------------------------------------------------------------------------

template <class T>
struct Storage;  // how many elements fill 16 bytes
template <>
struct Storage<float> {
  static constexpr int kVector = 4;
};
template <>
struct Storage<bf16> {
  static constexpr int kVector = 8;
};
template <class T>
inline constexpr int kVector = Storage<T>::kVector;

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(bf16 x) {
  return __uint_as_float(unsigned(x.bits) << 16);
}
template <class T>
__device__ inline T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline bf16 from_float<bf16>(float x) {
  const __nv_bfloat16 rounded = __float2bfloat16_rn(x);  // to nearest, ties to even: as bf16(float)
  return __builtin_bit_cast(bf16, rounded);
}

/// kVector<T> consecutive elements from a 16-byte aligned address.
template <class T>
__device__ inline void load_vector(const T* from, float (&x)[kVector<T>]) {
  const uint4 raw = *reinterpret_cast<const uint4*>(from);
  const T* elements = reinterpret_cast<const T*>(&raw);
#pragma unroll
  for (int i = 0; i < kVector<T>; i++) {
    x[i] = to_float(elements[i]);
  }
}
template <class T>
__device__ inline void store_vector(T* to, const float (&x)[kVector<T>]) {
  uint4 raw;
  T* elements = reinterpret_cast<T*>(&raw);
#pragma unroll
  for (int i = 0; i < kVector<T>; i++) {
    elements[i] = from_float<T>(x[i]);
  }
  *reinterpret_cast<uint4*>(to) = raw;
}

/// `=` or `+=`, as a gradient sink asks for.
template <class T>
__device__ inline void put(T* to, float x, bool add) {
  *to = from_float<T>(add ? to_float(*to) + x : x);
}

template <int kBytes>
struct Word;  // what one instruction moves
template <>
struct Word<2> {
  using type = unsigned short;
};
template <>
struct Word<4> {
  using type = unsigned;
};
template <>
struct Word<8> {
  using type = uint2;
};
template <>
struct Word<16> {
  using type = uint4;
};

template <class T, int N>
struct Several {
  T elements[N];
};

/// N elements as they are stored, a power of two of them that fill at most 16 bytes.
template <class T, int N>
struct Packed {
  using Raw = typename Word<N* int(sizeof(T))>::type;
  Raw raw;
  __device__ void load(const T* from) { raw = *reinterpret_cast<const Raw*>(from); }
  __device__ void to(float (&x)[N]) const {
    if constexpr (sizeof(T) == 2 && N > 1) {  // an instruction each, not two for the upper halves
      const auto words = __builtin_bit_cast(Several<unsigned, N / 2>, raw);
#pragma unroll
      for (int j = 0; j < N; j += 2) {
        x[j] = __uint_as_float(words.elements[j / 2] << 16);
        x[j + 1] = __uint_as_float(words.elements[j / 2] & 0xffff0000u);
      }
    } else {
      const auto elements = __builtin_bit_cast(Several<T, N>, raw);
#pragma unroll
      for (int j = 0; j < N; j++) {
        x[j] = to_float(elements.elements[j]);
      }
    }
  }
  __device__ void from(const float (&x)[N]) {
    Several<T, N> elements;
#pragma unroll
    for (int j = 0; j < N; j++) {
      elements.elements[j] = from_float<T>(x[j]);
    }
    raw = __builtin_bit_cast(Raw, elements);
  }
};

/// N consecutive elements, a power of two, from an address aligned to all of them or to 16 bytes.
template <int N, class T>
__device__ inline void load_elements(const T* from, float (&x)[N]) {
  constexpr int kEach = N * sizeof(T) < 16 ? N : 16 / int(sizeof(T));
  using Raw = typename Word<kEach* int(sizeof(T))>::type;
#pragma unroll
  for (int i = 0; i < N; i += kEach) {
    const auto raw = __builtin_bit_cast(Several<T, kEach>, *reinterpret_cast<const Raw*>(from + i));
#pragma unroll
    for (int k = 0; k < kEach; k++) {
      x[i + k] = to_float(raw.elements[k]);
    }
  }
}
template <int N, class T>
__device__ inline void store_elements(T* to, const float (&x)[N]) {
  constexpr int kEach = N * sizeof(T) < 16 ? N : 16 / int(sizeof(T));
  using Raw = typename Word<kEach* int(sizeof(T))>::type;
#pragma unroll
  for (int i = 0; i < N; i += kEach) {
    Several<T, kEach> raw;
#pragma unroll
    for (int k = 0; k < kEach; k++) {
      raw.elements[k] = from_float<T>(x[i + k]);
    }
    *reinterpret_cast<Raw*>(to + i) = __builtin_bit_cast(Raw, raw);
  }
}
template <int N, class T>
__device__ inline void put_elements(T* to, const float (&x)[N], bool add) {
  float y[N] = {};
  if (add) load_elements<N>(to, y);
#pragma unroll
  for (int i = 0; i < N; i++) {
    y[i] += x[i];
  }
  store_elements<N>(to, y);
}

/// Whether N elements of T at every one of these addresses, and `stride` elements further on, can
/// move together.
template <int N, class T, class... Addresses>
bool moves_together(std::int64_t stride, Addresses... addresses) {
  constexpr int kBytes = N * int(sizeof(T)) < 16 ? N * int(sizeof(T)) : 16;
  return stride % N == 0 && ((reinterpret_cast<std::uintptr_t>(addresses) % kBytes == 0) && ...);
}

/// A grid over rows and columns: a thread has one column (or vector) of one row, neighbours stand
/// side by side, and short rows share a block.
struct RowGrid {
  static constexpr int kThreads = 256;
  dim3 block;
  unsigned blocks, column_blocks;

  RowGrid(std::int64_t rows, std::int64_t columns) {
    unsigned lanes = kThreads;
    while (lanes > 1 && lanes / 2 >= columns) {
      lanes /= 2;
    }
    block = dim3(lanes, kThreads / lanes);
    column_blocks = static_cast<unsigned>((columns + lanes - 1) / lanes);
    blocks = static_cast<unsigned>((rows + block.y - 1) / block.y) * column_blocks;
  }
};
struct RowPlace {
  std::int64_t row, column;
};
__device__ inline RowPlace row_place(unsigned column_blocks) {
  return {std::int64_t(blockIdx.x / column_blocks) * blockDim.y + threadIdx.y,
          std::int64_t(blockIdx.x % column_blocks) * blockDim.x + threadIdx.x};
}

// ---- sums in a fixed order -----------------------------------------------------------------------------

/// Over every kLanes neighbouring lanes, a power of two; each gets the result.
template <int kLanes = 32>
__device__ inline float warp_sum(float x) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    x += __shfl_xor_sync(0xffffffffu, x, offset);
  }
  return x;
}
template <int kLanes = 32>
__device__ inline float warp_max(float x) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) {
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, offset));
  }
  return x;
}

/// Over a block of kThreads (a multiple of 32, at most 1024); every thread gets the sum. Must be
/// called by all of them.
template <int kThreads>
__device__ inline float block_sum(float x) {
  __shared__ float shares[kThreads / 32];
  x = warp_sum(x);
  __syncthreads();  // a second call must not overwrite shares that are still read
  if (threadIdx.x % 32 == 0) shares[threadIdx.x / 32] = x;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int i = 0; i < kThreads / 32; i++) {
    sum += shares[i];
  }
  return sum;
}

/// The sum over shares of partial[share * stride + column], for a block of 32 columns x 32 threads
/// each; every thread must call it (column < 0: has none), and those with threadIdx.y == 0 get it.
__device__ inline float sum_of_shares(const float* partial, std::int64_t shares,
                                      std::int64_t stride, std::int64_t column) {
  __shared__ float sums[32][32];
  float sum = 0;
  if (column >= 0) {
#pragma unroll 4
    for (std::int64_t share = threadIdx.y; share < shares; share += 32) {
      sum += partial[share * stride + column];
    }
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0) {
#pragma unroll
    for (int i = 1; i < 32; i++) {
      sum += sums[i][threadIdx.x];
    }
  }
  return sum;
}

inline int blocks_for(std::int64_t count, std::int64_t each) {
  return static_cast<int>((count + each - 1) / each);
}

/// Calls f.template operator()<T>() for f32 or bf16; anything else is unsupported here.
template <class F>
void with_device_type(DType type, const char* kernel, F f) {
  if (type == DType::f32) {
    f.template operator()<float>();
  } else if (type == DType::bf16) {
    f.template operator()<bf16>();
  } else {
    unsupported(kernel, "f64");
  }
}

}  // namespace farsight::cuda
