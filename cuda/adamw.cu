// The optimiser over flat f32 buffers.
//
// gradient_norm: kShares blocks, whatever the device, so that the sum's order is the same on all; a
// thread adds squares in f64, the block's threads are added by halves, and one last block adds the
// blocks' shares in the same way. Floor: one read of the gradient.
// adamw_step: a thread owns four consecutive elements, which belong to one decay group: one read of
// g, p, m, v and one write of p, m, v and of the bf16 copy: 30 bytes an element.
#include "cuda/device.cuh"
#include "ops/adamw.h"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kShares = GradientNormArgs::kShares;
static_assert(kShares % 2 == 0 && kShares <= 1024, "one block adds the shares");

/// Adds up the block's values by halves; the sum is in thread 0.
template <int kCount>
__device__ inline double sum_by_halves(double value) {
  __shared__ double shares[kCount];
  shares[threadIdx.x] = value;
#pragma unroll
  for (int half = kCount / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < half) shares[threadIdx.x] += shares[threadIdx.x + half];
  }
  return shares[0];
}

__global__ void __launch_bounds__(kThreads)
    add_squares(const __grid_constant__ GradientNormArgs a) {
  const float* g = static_cast<const float*>(a.g);
  constexpr std::int64_t kStep = std::int64_t(kShares) * kThreads;
  const std::int64_t first = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const bool aligned = reinterpret_cast<std::uintptr_t>(g) % 16 == 0;
  const std::int64_t vectors = aligned ? a.count / 4 : 0;
  double sum = 0;
#pragma unroll 4
  for (std::int64_t i = first; i < vectors; i += kStep) {
    const float4 x = reinterpret_cast<const float4*>(g)[i];
    sum += static_cast<double>(x.x) * x.x + static_cast<double>(x.y) * x.y +
           (static_cast<double>(x.z) * x.z + static_cast<double>(x.w) * x.w);
  }
  for (std::int64_t i = vectors * 4 + first; i < a.count; i += kStep) {
    sum += static_cast<double>(g[i]) * g[i];
  }
  sum = sum_by_halves<kThreads>(sum);
  if (threadIdx.x == 0) a.shares[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kShares) add_shares(const __grid_constant__ GradientNormArgs a) {
  const double sum = sum_by_halves<kShares>(a.shares[threadIdx.x]);
  if (threadIdx.x != 0) return;
  a.norm[0] = sqrt(sum);
  if (!isfinite(sum) || (a.loss != nullptr && !isfinite(*a.loss))) a.norm[1] = 1;
}

struct Step {
  AdamWArgs a;
  float beta1 = 0, beta2 = 0, rest1 = 0, rest2 = 0, eps = 0, limit = 0;
};

/// N = 4 needs every buffer aligned to 16 bytes; N = 1 takes any and any count.
template <int N>
__device__ inline void load(const float* from, std::int64_t i, float (&x)[N]) {
  if constexpr (N == 4) {
    load_vector(from + i, x);
  } else {
    x[0] = from[i];
  }
}
template <int N>
__device__ inline void store(float* to, std::int64_t i, const float (&x)[N]) {
  if constexpr (N == 4) {
    store_vector(to + i, x);
  } else {
    to[i] = x[0];
  }
}

/// What an operation on bf16 storage gives; without it, x.
template <bool kBf16>
__device__ inline float stored(float x) {
  return kBf16 ? to_float(from_float<bf16>(x)) : x;
}

template <int N, bool kBf16>
__global__ void __launch_bounds__(kThreads) step(const __grid_constant__ Step s) {
  const AdamWArgs& a = s.a;
  const std::int64_t i = (std::int64_t(blockIdx.x) * kThreads + threadIdx.x) * N;
  if (i >= a.count || a.norm[1] != 0) return;
  const float rate = static_cast<float>(a.schedule[0]), shrink = static_cast<float>(a.schedule[1]);
  const bool clips = a.norm_limit > 0 && a.norm[0] > a.norm_limit;
  const float factor = clips ? static_cast<float>(a.norm_limit / a.norm[0]) : 1.0f;
  float *p = static_cast<float*>(a.p), *m = static_cast<float*>(a.m), *v = static_cast<float*>(a.v);
  float gradient[N], mean[N], square[N], value[N];
  load(static_cast<const float*>(a.g), i, gradient);
  load(m, i, mean);
  load(v, i, square);
  load(p, i, value);
  const std::int64_t group = i / AdamWArgs::kDecayGroup;
  const bool decays = a.decays == nullptr || a.decays[group] != 0;
#pragma unroll
  for (int k = 0; k < N; k++) {
    float g = stored<kBf16>(stored<kBf16>(gradient[k]) * factor);
    if (s.limit > 0) {
      g = g > s.limit ? s.limit : g;  // NaN passes
      g = g < -s.limit ? -s.limit : g;
    }
    mean[k] = stored<kBf16>(stored<kBf16>(s.beta1 * mean[k]) + s.rest1 * g);
    square[k] = stored<kBf16>(stored<kBf16>(s.beta2 * square[k]) + s.rest2 * g * g);
    const float root = stored<kBf16>(stored<kBf16>(sqrtf(square[k])) + s.eps);
    value[k] = stored<kBf16>(value[k] - rate * mean[k] / root);
    if (decays) value[k] = stored<kBf16>(value[k] - shrink * value[k]);
  }
  store(m, i, mean);
  store(v, i, square);
  store(p, i, value);
  if (a.operands == nullptr || a.operand_groups[group] < 0) return;
  bf16* to = static_cast<bf16*>(a.operands) +
             std::int64_t(a.operand_groups[group]) * AdamWArgs::kDecayGroup +
             i % AdamWArgs::kDecayGroup;
  if constexpr (N == 4) {
    ushort4 bits;
    bits.x = from_float<bf16>(value[0]).bits;
    bits.y = from_float<bf16>(value[1]).bits;
    bits.z = from_float<bf16>(value[2]).bits;
    bits.w = from_float<bf16>(value[3]).bits;
    *reinterpret_cast<ushort4*>(to) = bits;
  } else {
    *to = from_float<bf16>(value[0]);
  }
}

template <int N>
void start(const Step& s) {
  const int blocks = blocks_for(s.a.count, N * kThreads);
  if (s.a.bf16_storage) {
    step<N, true><<<blocks, kThreads, 0, stream()>>>(s);
  } else {
    step<N, false><<<blocks, kThreads, 0, stream()>>>(s);
  }
}

bool aligned(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) % 16 == 0;
}

}  // namespace

void gradient_norm(const GradientNormArgs& a) {
  if (a.type != DType::f32) unsupported("gradient_norm", name_of(a.type));
  using Part = GradientNormArgs::Part;
  if (a.part != Part::root) {
    add_squares<<<kShares, kThreads, 0, stream()>>>(a);
    launched("gradient_norm");
  }
  if (a.part != Part::squares) {
    add_shares<<<1, kShares, 0, stream()>>>(a);
    launched("gradient_norm");
  }
}

void adamw_step(const AdamWArgs& a) {
  if (a.type != DType::f32) unsupported("adamw_step", name_of(a.type));
  if (a.count == 0) return;
  const Step s{.a = a,
               .beta1 = static_cast<float>(a.beta1),
               .beta2 = static_cast<float>(a.beta2),
               .rest1 = 1 - static_cast<float>(a.beta1),
               .rest2 = 1 - static_cast<float>(a.beta2),
               .eps = static_cast<float>(a.eps),
               .limit = static_cast<float>(a.value_limit)};
  const bool vectors = a.count % 4 == 0 && aligned(a.p) && aligned(a.m) && aligned(a.v) &&
                       aligned(a.g) && aligned(a.operands);
  vectors ? start<4>(s) : start<1>(s);
  launched("adamw_step");
}

}  // namespace farsight::cuda
