// Generation: keys and values go to the cache, then every new token looks at all of it. And the table
// of rotary angles, which the forward needs too.
#include "cuda/attention.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;

/// The table of cosines and sines: a thread an angle.
__global__ void make_turns(const __grid_constant__ AttentionArgs a) {
  const std::int64_t half = a.rotary / 2;
  const std::int64_t at = std::int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= a.T * half) return;
  const std::int64_t t = at / half, i = at % half;
  const double exponent = 2.0 * double(i) / double(a.rotary);
  const float frequency = 1.0f / float(pow(a.base, exponent));
  const float angle = float(a.first + t) * frequency;
  float* turns = static_cast<float*>(a.turns) + at * 2;
  turns[0] = cosf(angle);
  turns[1] = sinf(angle);
}

template <class T>
__global__ void __launch_bounds__(kThreads) append(const __grid_constant__ AttentionArgs a) {
  const std::int64_t at = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const int i = int(at % a.head);
  const std::int64_t task = at / a.head / a.T, t = at / a.head % a.T;
  if (task >= a.B * a.H) return;
  const Head<T> head(a, task);
  T* to = head.cached(a.first + t);
  to[i] = from_float<T>(head.turned(t, head.qkv(t, 1), i));
  to[a.head + i] = head.qkv(t, 2)[i];
}

/// A warp a token of a head; lane l has the dims l, l + 32, ...
template <class T>
__global__ void __launch_bounds__(kThreads) attend_cache(const __grid_constant__ AttentionArgs a) {
  constexpr int kDims = int(kAttentionMaxHead) / 32;
  const std::int64_t at = std::int64_t(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  if (at >= a.B * a.H * a.T) return;  // whole warps
  const int lane = threadIdx.x % 32, hd = int(a.head);
  const Head<T> head(a, at / a.T);
  const std::int64_t t = at % a.T;
  const float scale = rsqrtf(float(hd));
  float q[kDims], y[kDims] = {};
#pragma unroll
  for (int i = 0; i < kDims; i++) {
    q[i] = lane + 32 * i < hd ? head.turned(t, head.qkv(t, 0), lane + 32 * i) * scale : 0.0f;
  }
  float most = -INFINITY, total = 0;
  for (std::int64_t j = 0; j <= a.first + t; j++) {
    const T* k = head.cached(j);
    float s = 0;
#pragma unroll
    for (int i = 0; i < kDims; i++) {
      if (lane + 32 * i < hd) s += q[i] * to_float(k[lane + 32 * i]);
    }
    s = warp_sum(s);
    const float highest = fmaxf(most, s);
    const float change = exp2_approx((most - highest) * kLog2E);
    const float weight = exp2_approx((s - highest) * kLog2E);
    total = total * change + weight;
    most = highest;
#pragma unroll
    for (int i = 0; i < kDims; i++) {
      if (lane + 32 * i < hd) y[i] = y[i] * change + weight * to_float(k[hd + lane + 32 * i]);
    }
  }
#pragma unroll
  for (int i = 0; i < kDims; i++) {
    if (lane + 32 * i < hd) head.y(t)[lane + 32 * i] = from_float<T>(y[i] / total);
  }
}

}  // namespace

void attention_turns(const AttentionArgs& a) {
  if (a.rotary == 0) return;
  make_turns<<<blocks_for(a.T * a.rotary / 2, kThreads), kThreads, 0, stream()>>>(a);
  launched("attention, table of turns");
}

void attention_step(const AttentionArgs& a) {
  if (a.B * a.T == 0) return;
  attention_turns(a);
  with_device_type(a.type, "attention_step", [&]<class T>() {
    append<T><<<blocks_for(a.B * a.H * a.T * a.head, kThreads), kThreads, 0, stream()>>>(a);
    launched("attention_step, append");
    attend_cache<T><<<blocks_for(a.B * a.H * a.T, kThreads / 32), kThreads, 0, stream()>>>(a);
    launched("attention_step");
  });
}

}  // namespace farsight::cuda
