// What the forward and the backward of WKV share. Exponents count powers of two, so that every
// exponential is one instruction; of the two that bring a pair of sums to one exponent, one is 1.
//
// A thread owns V neighbouring channels of one sequence, a warp 32 V of them, for a segment of
// kSteps steps, whose inputs it holds as they are stored. Where a block has several warps they take
// consecutive segments of the same channels: each sums up its own, all read those before (behind) it.
#pragma once

#include "cuda/device.cuh"
#include "ops/wkv.h"

namespace farsight::cuda::wkv_parts {

inline constexpr float kNothing = -1e30f;  // as exponent: of sums that are empty
inline constexpr float kLn2 = 0.6931471805599453f;

struct Sums {
  float a = 0, b = 0, o = kNothing;  // 2^o a and 2^o b

  /// A sequence begins here: with that exponent a and b weigh nothing, whatever they are.
  __device__ void restart_if(bool starts) { o = starts ? kNothing : o; }
};

/// Two exponents brought to the larger one: `left` and `right` are 2^(itself - max).
struct Balance {
  float max, left, right;
  __device__ Balance(float l, float r) {
    const float apart = l - r;
    const float smaller = exp2_approx(-fabsf(apart));
    max = fmaxf(l, r);
    left = apart > 0 ? 1.0f : smaller;
    right = apart > 0 ? smaller : 1.0f;
  }
};

/// A step later: k as power of two.
__device__ inline Sums after(const Sums& s, float w, float k, float v) {
  const Balance to(s.o + w, k);
  return {to.left * s.a + to.right * v, to.left * s.b + to.right, to.max};
}
/// What came first, `shift` further away, and what came then.
__device__ inline Sums joined(const Sums& s, float shift, const Sums& then) {
  const Balance to(s.o + shift, then.o);
  return {to.left * s.a + to.right * then.a, to.left * s.b + to.right * then.b, to.max};
}

/// Which channels of which sequence a warp has. A lane beyond the last channel does what the last
/// one does and stores nothing: barriers and ballots need all of them.
template <int V>
struct Place {
  int b, d;
  bool stores;
  __device__ Place(const WkvArgs& a, int group) {
    const int groups = (int(a.D) + 32 * V - 1) / (32 * V);
    b = group / groups;
    d = (group % groups * 32 + int(threadIdx.x)) * V;
    stores = d < a.D;
    if (!stores) d = int(a.D) - V;
  }
  /// Of the activations, flattened: there are fewer than 2^31.
  __device__ int row(const WkvArgs& a, int t) const { return b * int(a.T) + t; }
  /// The thread's elements at step t; further steps are stride(...) on.
  template <class T>
  __device__ T* at(const WkvArgs& a, const void* tensor, std::int64_t stride, int t) const {
    return static_cast<T*>(const_cast<void*>(tensor)) + std::int64_t(row(a, t)) * int(stride) + d;
  }
};

/// The steps [begin, begin + count) of a sequence that a warp works on; bit i of `starts`: a
/// sequence of a packed row begins at begin + i.
struct Segment {
  int begin, count;
  unsigned starts;
  template <int kSteps, class At>
  __device__ static Segment at(const WkvArgs& a, const At& place, int begin) {
    Segment s{begin, max(0, min(kSteps, int(a.T) - begin)), 0};
    if (a.position != nullptr) {  // all lanes or none
      const int lane = int(threadIdx.x);
      const bool mine = lane < s.count && a.position[place.row(a, begin + lane)] == 0;
      s.starts = __ballot_sync(0xffffffffu, mine);
    }
    return s;
  }
  __device__ bool starts_at(int i) const { return (starts >> i & 1) != 0; }
  /// Whether there is a step i: known beforehand in a whole segment.
  template <bool kWhole>
  __device__ bool has(int i) const {
    return kWhole || i < count;
  }
  /// By how much sums lose weight over the segment.
  __device__ float shift(float w) const { return starts != 0 ? kNothing : float(count) * w; }
};

/// The sums of a block's segments, in shared memory.
template <int V, int kWarps>
struct Exchange {
  float sums[kWarps][3][32 * V];
  int counts[kWarps];  // of steps; negative: nothing is kept across the segment

  __device__ void put(int warp, const Sums (&s)[V]) {
#pragma unroll
    for (int j = 0; j < V; j++) {
      const int c = int(threadIdx.x) * V + j;
      sums[warp][0][c] = s[j].a;
      sums[warp][1][c] = s[j].b;
      sums[warp][2][c] = s[j].o;
    }
  }
  __device__ void put(int warp, const Sums (&s)[V], const Segment& segment) {
    put(warp, s);
    if (threadIdx.x == 0) counts[warp] = segment.starts != 0 ? -1 : segment.count;
  }
  __device__ Sums get(int warp, int j) const {
    const int c = int(threadIdx.x) * V + j;
    return {sums[warp][0][c], sums[warp][1][c], sums[warp][2][c]};
  }
  /// s becomes what it is behind segment `warp`.
  __device__ void pass(int warp, const float (&w)[V], Sums (&s)[V]) const {
    const int count = counts[warp];
#pragma unroll
    for (int j = 0; j < V; j++) {
      s[j] = joined(s[j], count < 0 ? kNothing : float(count) * w[j], get(warp, j));
    }
  }
};

/// Both parameters of the thread's channels, in powers of two.
template <int V>
struct Rates {
  float w[V], first[V];
  __device__ Rates(const WkvArgs& a, std::int64_t d) {
#pragma unroll
    for (int j = 0; j < V; j++) {
      w[j] = -expf(static_cast<const float*>(a.decay)[d + j]) * kLog2E;
      first[j] = static_cast<const float*>(a.first)[d + j] * kLog2E;
    }
  }
};

/// Where the state before chunk `chunk` >= 1 of sequence b is: a, b and o, each [D].
template <int V>
__device__ float* checkpoint(const WkvArgs& a, const Place<V>& at, int chunk) {
  return static_cast<float*>(a.checkpoints) + (at.b * (a.chunks - 1) + chunk - 1) * 3 * a.D + at.d;
}
template <int V>
__device__ inline void load_sums(const float* from, std::int64_t D, Sums (&s)[V]) {
  float a[V], b[V], o[V];
  load_elements<V>(from, a);
  load_elements<V>(from + D, b);
  load_elements<V>(from + 2 * D, o);
#pragma unroll
  for (int j = 0; j < V; j++) {
    s[j] = {a[j], b[j], o[j]};
  }
}
template <int V>
__device__ inline void store_sums(float* to, std::int64_t D, const Sums (&s)[V]) {
  float a[V], b[V], o[V];
#pragma unroll
  for (int j = 0; j < V; j++) {
    a[j] = s[j].a;
    b[j] = s[j].b;
    o[j] = s[j].o;
  }
  store_elements<V>(to, a);
  store_elements<V>(to + D, b);
  store_elements<V>(to + 2 * D, o);
}

/// Whether two neighbouring channels can move together everywhere.
template <class T>
bool pairs_move_together(const WkvArgs& a) {
  return a.D % 2 == 0 && a.k_stride % 2 == 0 && a.v_stride % 2 == 0 && a.r_stride % 2 == 0 &&
         a.dk_stride % 2 == 0 && a.dv_stride % 2 == 0 && a.dr_stride % 2 == 0 &&
         moves_together<2, T>(0, a.k, a.v, a.r, a.y, a.dy, a.dk, a.dv, a.dr) &&
         moves_together<2, float>(0, a.checkpoints, a.initial_state, a.last_state);
}

}  // namespace farsight::cuda::wkv_parts
