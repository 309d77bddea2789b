// The kernels beside cuBLASLt: what it cannot do, or not in a fixed order.
#pragma once

#include <cuda_runtime.h>

#include "core/dtype.h"
#include "ops/linear.h"

namespace farsight::cuda {

/// Row-major C[M, N] = (add ? C : 0) + op(A) op(B), as ops/gemm.h: A is [M, K] ([K, M] when
/// transpose_a), B is [K, N] ([N, K] when transpose_b); strides are elements between rows as stored.
/// `batch` of them, each so many elements behind the one before.
struct Product {
  const void *a = nullptr, *b = nullptr;
  void* c = nullptr;
  const void* bias = nullptr;  // [N], of the type of C, added to every row before it is rounded
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t a_stride = 0, b_stride = 0, c_stride = 0;
  std::int64_t batch = 1, a_step = 0, b_step = 0, c_step = 0;
  bool transpose_a = false, transpose_b = false, add = false;
  DType type = DType::f32;    // of A and B
  DType c_type = DType::f32;  // f32, or the type of A and B
};
/// By cuBLASLt, or plainly where it has no algorithm.
void multiply(const Product& p);
/// By plain tiles, for any alignment and size.
void multiply_plainly(const Product& p);

void round_bias(const float* bias, std::int64_t N, bf16* rounded);

/// dbias, the sum over rows of dy, in a fixed order, by way of a.partial.
void sum_columns(const LinearArgs& a);

}  // namespace farsight::cuda
