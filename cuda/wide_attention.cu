// The products by cuBLASLt, batched over sequences; between them a warp has one row of P: three walks
// over its scores forward (largest, sum, weights), two backward. Not fused: scores go through memory,
// 4 bytes each, several times. For an ablation whose products are far larger than what is saved.
#include "ops/wide_attention.h"

#include "cuda/device.cuh"
#include "cuda/linear_kernels.cuh"

namespace farsight::cuda {
namespace {

constexpr int kWarps = 8;  // rows of a block

struct Seen {
  std::int64_t first, last;
};
/// The keys that row `row` of [B, T] sees.
__device__ inline Seen seen_by(const WideAttentionArgs& a, std::int64_t row) {
  const std::int64_t last = a.S - a.T + row % a.T;
  return {a.position ? last - a.position[row] : 0, last};
}

template <class T>
__global__ void __launch_bounds__(32 * kWarps) soften(const __grid_constant__ WideAttentionArgs a) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= a.B * a.T) return;  // a whole warp
  const int lane = threadIdx.x % 32;
  const Seen seen = seen_by(a, row);
  const float* s = static_cast<const float*>(a.scores) + row * a.S;
  T* p = static_cast<T*>(a.p) + row * a.S;
  const float scale = kLog2E * rsqrtf(float(a.D));
  float most = -INFINITY;
  for (std::int64_t j = seen.first + lane; j <= seen.last; j += 32) {
    most = fmaxf(most, s[j]);
  }
  most = warp_max(most);
  float sum = 0;
  for (std::int64_t j = seen.first + lane; j <= seen.last; j += 32) {
    sum += exp2_approx(scale * (s[j] - most));
  }
  const float factor = 1.0f / warp_sum(sum);
  for (std::int64_t j = lane; j < a.S; j += 32) {
    const bool sees = j >= seen.first && j <= seen.last;
    p[j] = from_float<T>(sees ? exp2_approx(scale * (s[j] - most)) * factor : 0.0f);
  }
}

template <class T>
__global__ void __launch_bounds__(32 * kWarps)
    differentiate(const __grid_constant__ WideAttentionArgs a) {
  const std::int64_t row = std::int64_t(blockIdx.x) * kWarps + threadIdx.x / 32;
  if (row >= a.B * a.T) return;
  const int lane = threadIdx.x % 32;
  const Seen seen = seen_by(a, row);
  const float* dp = static_cast<const float*>(a.scores) + row * a.S;
  const T* p = static_cast<const T*>(a.p) + row * a.S;
  T* ds = static_cast<T*>(a.ds) + row * a.S;
  const float scale = rsqrtf(float(a.D));
  float sum = 0;
  for (std::int64_t j = seen.first + lane; j <= seen.last; j += 32) {
    sum += to_float(p[j]) * dp[j];
  }
  sum = warp_sum(sum);
  for (std::int64_t j = lane; j < a.S; j += 32) {
    const bool sees = j >= seen.first && j <= seen.last;
    ds[j] = from_float<T>(sees ? scale * to_float(p[j]) * (dp[j] - sum) : 0.0f);
  }
}

unsigned row_blocks(const WideAttentionArgs& a) {
  return static_cast<unsigned>((a.B * a.T + kWarps - 1) / kWarps);
}

}  // namespace

void wide_attention_forward(const WideAttentionArgs& a) {
  if (a.B == 0 || a.T == 0 || a.D == 0) return;
  multiply({.a = a.q,
            .b = a.k,
            .c = a.scores,
            .m = a.T,
            .n = a.S,
            .k = a.D,
            .a_stride = a.q_stride,
            .b_stride = a.k_stride,
            .c_stride = a.S,
            .batch = a.B,
            .a_step = a.T * a.q_stride,
            .b_step = a.S * a.k_stride,
            .c_step = a.T * a.S,
            .transpose_b = true,
            .type = a.type,
            .c_type = DType::f32});
  with_device_type(a.type, "wide_attention_forward",
                   [&]<class T>() { soften<T><<<row_blocks(a), 32 * kWarps, 0, stream()>>>(a); });
  launched("wide_attention_forward");
  multiply({.a = a.p,
            .b = a.v,
            .c = a.y,
            .m = a.T,
            .n = a.D,
            .k = a.S,
            .a_stride = a.S,
            .b_stride = a.v_stride,
            .c_stride = a.D,
            .batch = a.B,
            .a_step = a.T * a.S,
            .b_step = a.S * a.v_stride,
            .c_step = a.T * a.D,
            .type = a.type,
            .c_type = a.type});
}

void wide_attention_backward(const WideAttentionArgs& a) {
  if (a.B == 0 || a.T == 0 || a.D == 0) return;
  multiply({.a = a.dy,
            .b = a.v,
            .c = a.scores,
            .m = a.T,
            .n = a.S,
            .k = a.D,
            .a_stride = a.dy_stride,
            .b_stride = a.v_stride,
            .c_stride = a.S,
            .batch = a.B,
            .a_step = a.T * a.dy_stride,
            .b_step = a.S * a.v_stride,
            .c_step = a.T * a.S,
            .transpose_b = true,
            .type = a.type,
            .c_type = DType::f32});
  with_device_type(a.type, "wide_attention_backward", [&]<class T>() {
    differentiate<T><<<row_blocks(a), 32 * kWarps, 0, stream()>>>(a);
  });
  launched("wide_attention_backward");
  // [T, S] or its transpose times [T or S, D]
  const auto gradient = [&](const void* square, bool transpose, const void* b,
                            std::int64_t b_stride, void* c, std::int64_t c_stride, bool add) {
    if (c == nullptr) return;
    const std::int64_t m = transpose ? a.S : a.T, k = transpose ? a.T : a.S;
    multiply({.a = square,
              .b = b,
              .c = c,
              .m = m,
              .n = a.D,
              .k = k,
              .a_stride = a.S,
              .b_stride = b_stride,
              .c_stride = c_stride,
              .batch = a.B,
              .a_step = a.T * a.S,
              .b_step = k * b_stride,
              .c_step = m * c_stride,
              .transpose_a = transpose,
              .add = add,
              .type = a.type,
              .c_type = a.type});
  };
  gradient(a.ds, false, a.k, a.k_stride, a.dq, a.dq_stride, a.dq_add);
  gradient(a.ds, true, a.q, a.q_stride, a.dk, a.dk_stride, a.dk_add);
  gradient(a.p, true, a.dy, a.dy_stride, a.dv, a.dv_stride, a.dv_add);
}

}  // namespace farsight::cuda
