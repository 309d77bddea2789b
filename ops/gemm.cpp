#include "ops/gemm.h"

#include <cblas.h>

#include <algorithm>
#include <string>

#include "core/parallel.h"

namespace farsight::cpu {
namespace {

/// OpenBLAS must not thread below our blocks: its results would depend on the thread count.
void one_thread_each() {
  static const bool once = (openblas_set_num_threads(1), true);
  static_cast<void>(once);
}

void call(const Gemm<float>& g, const float* a, const float* b, float* c, blasint m, blasint n) {
  cblas_sgemm(CblasRowMajor, g.transpose_a ? CblasTrans : CblasNoTrans,
              g.transpose_b ? CblasTrans : CblasNoTrans, m, n, static_cast<blasint>(g.k), 1.0f, a,
              static_cast<blasint>(g.a_stride), b, static_cast<blasint>(g.b_stride),
              g.add ? 1.0f : 0.0f, c, static_cast<blasint>(g.c_stride));
}
void call(const Gemm<double>& g, const double* a, const double* b, double* c, blasint m,
          blasint n) {
  cblas_dgemm(CblasRowMajor, g.transpose_a ? CblasTrans : CblasNoTrans,
              g.transpose_b ? CblasTrans : CblasNoTrans, m, n, static_cast<blasint>(g.k), 1.0, a,
              static_cast<blasint>(g.a_stride), b, static_cast<blasint>(g.b_stride),
              g.add ? 1.0 : 0.0, c, static_cast<blasint>(g.c_stride));
}

/// Rows (or columns) a block: some 4 MFLOP each, at most 64 blocks, multiples of 16.
std::int64_t block_size(std::int64_t split, std::int64_t other, std::int64_t k) {
  constexpr std::int64_t kBlockFlops = 4'000'000;
  const std::int64_t flops_each = std::max<std::int64_t>(1, 2 * other * k);
  const std::int64_t wanted = std::max(kBlockFlops / flops_each, (split + 63) / 64);
  return std::max<std::int64_t>(16, (wanted + 15) / 16 * 16);
}

template <class A>
void blocked(const Gemm<A>& g) {
  one_thread_each();
  if (g.m == 0 || g.n == 0) return;
  if (g.k == 0) {
    for (std::int64_t row = 0; row < g.m && !g.add; row++) {
      std::fill_n(g.c + row * g.c_stride, g.n, A{});
    }
    return;
  }
  if (g.m >= g.n) {
    parallel_blocks(g.m, block_size(g.m, g.n, g.k), [&](std::int64_t begin, std::int64_t end) {
      call(g, g.a + begin * (g.transpose_a ? 1 : g.a_stride), g.b, g.c + begin * g.c_stride,
           static_cast<blasint>(end - begin), static_cast<blasint>(g.n));
    });
  } else {
    parallel_blocks(g.n, block_size(g.n, g.m, g.k), [&](std::int64_t begin, std::int64_t end) {
      call(g, g.a, g.b + begin * (g.transpose_b ? g.b_stride : 1), g.c + begin,
           static_cast<blasint>(g.m), static_cast<blasint>(end - begin));
    });
  }
}

}  // namespace

void gemm(const Gemm<float>& g) {
  blocked(g);
}
void gemm(const Gemm<double>& g) {
  blocked(g);
}

const char* blas_description() {
  static const std::string text = [] {
    std::string config = openblas_get_config();
    return config.substr(0, config.find(' ', config.find(' ') + 1)) + ", " +
           openblas_get_corename() + " kernels";
  }();
  return text.c_str();
}

}  // namespace farsight::cpu
