// The way back of WKV (wkv_backward.cu): a warp goes up through its steps, and keeps what each passes.
#pragma once

#include "cuda/wkv.cuh"

namespace farsight::cuda::wkv_parts {

inline constexpr int kWarps = 4, kSteps = 8;
static_assert(kWarps * kSteps == kWkvChunk);

/// The same, but the compiler does not know: or it would keep what it has unpacked from one sweep to
/// the next, for which there are no registers.
__device__ inline unsigned unknown(unsigned x) {
  asm volatile("" : "+r"(x));
  return x;
}
template <class T, int V>
__device__ void unpack(const Packed<T, V>& from, float (&x)[V]) {
  Packed<T, V> again = from;
  if constexpr (sizeof(again.raw) == sizeof(unsigned)) again.raw = unknown(unsigned(again.raw));
  again.to(x);
}

/// A warp's steps, and what they leave for the way back. Beyond a gate the gradient is rounded to
/// the type of the activations, as it would be if the gate were an operation of its own.
template <class T, int V>
struct Steps {
  Packed<T, V> k[kSteps], v[kSteps], dwkv[kSteps];
  float past[kSteps][V], weight[kSteps][V], exponent[kSteps][V];
};

/// dy becomes dy sigmoid(r), what the average itself gets. dr is done with here.
template <class T, int V>
__device__ void through_gate(const WkvArgs& a, const Place<V>& place, int t,
                             const Packed<T, V>& r_packed, const float (&y)[V],
                             Packed<T, V>& dy_packed) {
  float r[V], dr[V], dy[V];
  r_packed.to(r);
  dy_packed.to(dy);
#pragma unroll
  for (int j = 0; j < V; j++) {
    const float gate = sigmoid(r[j]);
    dr[j] = dy[j] * y[j] * gate * (1.0f - gate);
    dy[j] *= gate;
  }
  dy_packed.from(dy);
  if (a.dr == nullptr || !place.stores) return;
  put_elements<V>(place.template at<T>(a, a.dr, a.dr_stride, t), dr, a.dr_add);
}

/// Up through the warp's steps, from the state before them.
template <bool kWhole, class T, int V, bool kGated>
__device__ void rebuild(const WkvArgs& a, const Place<V>& place, const Segment& at,
                        const Rates<V>& rates, const Packed<T, V> (&r)[kGated ? kSteps : 1],
                        Sums (&s)[V], Steps<T, V>& steps) {
#pragma unroll
  for (int i = 0; i < kSteps; i++) {
    if (!at.template has<kWhole>(i)) break;
    float k[V], v[V], y[V];
    unpack(steps.k[i], k);
    unpack(steps.v[i], v);
#pragma unroll
    for (int j = 0; j < V; j++) {
      s[j].restart_if(at.starts_at(i));
      k[j] *= kLog2E;
      const Balance to(s[j].o, rates.first[j] + k[j]);
      const float sum = to.left * s[j].b + to.right, share = reciprocal_approx(sum);
      steps.past[i][j] = to.left * s[j].a * share;
      steps.weight[i][j] = to.left * s[j].b * share;
      steps.exponent[i][j] = to.max + __log2f(sum);
      y[j] = steps.past[i][j] + to.right * share * v[j];
      s[j] = after(s[j], rates.w[j], k[j], v[j]);
    }
    if constexpr (kGated) {
      through_gate<T, V>(a, place, at.begin + i, r[i], y, steps.dwkv[i]);
    }
  }
}

}  // namespace farsight::cuda::wkv_parts
