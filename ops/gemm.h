// Matrix products on the CPU, by OpenBLAS on one thread a block; the blocks are cut by the shapes
// alone, so the result does not depend on the number of threads.
#pragma once

#include <cstdint>

namespace farsight::cpu {

/// Row-major C[M, N] = (add ? C : 0) + op(A) op(B), where op transposes if the flag is set:
/// A is [M, K] (or [K, M] when transpose_a), B is [K, N] (or [N, K] when transpose_b); strides are
/// elements between rows as stored.
template <class A>
struct Gemm {
  const A *a = nullptr, *b = nullptr;
  A* c = nullptr;
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t a_stride = 0, b_stride = 0, c_stride = 0;
  bool transpose_a = false, transpose_b = false, add = false;
};
void gemm(const Gemm<float>& g);
void gemm(const Gemm<double>& g);

/// "OpenBLAS 0.3.21, SkylakeX kernels": for reports.
const char* blas_description();

}  // namespace farsight::cpu
