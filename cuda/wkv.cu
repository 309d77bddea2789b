// Two forms of one kernel. Where sequences and channels fill the GPU, a warp walks through time, four
// steps ahead of itself with its loads. Elsewhere a block of eight warps takes 64 steps at once: each
// warp sums up its eight steps, reads the sums of the warps before it, and goes through its steps
// again from there; they are read from memory once, and the barrier is one a block of steps.
//
// Floor: k, v (and r) read once, y written once. Every kWkvChunk steps a state, 12 bytes a channel,
// is kept for the backward.
#include "cuda/wkv.cuh"

namespace farsight::cuda {
namespace {

using namespace wkv_parts;

constexpr int kSequentialWarps = 4;          // of a block, each with channels of its own
constexpr int kSequentialSteps = 4;          // asked for ahead
constexpr int kSegments = 8, kSteps = 8;     // of a block whose warps share their channels
constexpr std::int64_t kEnoughWarps = 3000;  // 23 a multiprocessor of an H100

/// k, v and r of a segment.
template <class T, int V, int kCount, bool kGated>
struct Inputs {
  Packed<T, V> k[kCount], v[kCount], r[kGated ? kCount : 1];
  __device__ void load(const WkvArgs& a, const Place<V>& place, int begin) {
    if (begin + kCount <= int(a.T)) {
      load_some<true>(a, place, begin);
    } else {
      load_some<false>(a, place, begin);
    }
  }

 private:
  template <bool kWhole>
  __device__ void load_some(const WkvArgs& a, const Place<V>& place, int begin) {
    const T* k_at = place.template at<T>(a, a.k, a.k_stride, begin);
    const T* v_at = place.template at<T>(a, a.v, a.v_stride, begin);
    const T* r_at = kGated ? place.template at<T>(a, a.r, a.r_stride, begin) : nullptr;
#pragma unroll
    for (int i = 0; i < kCount; i++) {
      if (!kWhole && begin + i >= int(a.T)) break;
      k[i].load(k_at + i * int(a.k_stride));
      v[i].load(v_at + i * int(a.v_stride));
      if constexpr (kGated) r[i].load(r_at + i * int(a.r_stride));
    }
  }
};

/// The sums of the segment alone.
template <class In, int V, int kCount>
__device__ void sum_up(const In& in, const Segment& at, const Rates<V>& rates, Sums (&s)[V]) {
#pragma unroll
  for (int i = 0; i < kCount; i++) {
    if (i >= at.count) break;
    float k[V], v[V];
    in.k[i].to(k);
    in.v[i].to(v);
#pragma unroll
    for (int j = 0; j < V; j++) {
      s[j].restart_if(at.starts_at(i));
      s[j] = after(s[j], rates.w[j], k[j] * kLog2E, v[j]);
    }
  }
}

/// The segment's outputs; s is the state before it and becomes that behind it.
template <bool kWhole, class T, class In, int V, int kCount, bool kGated>
__device__ void put_out_some(const WkvArgs& a, const In& in, const Segment& at,
                             const Place<V>& place, const Rates<V>& rates, Sums (&s)[V]) {
  T* y_at = place.template at<T>(a, a.y, a.D, at.begin);
#pragma unroll
  for (int i = 0; i < kCount; i++) {
    if (!at.template has<kWhole>(i)) break;
    float k[V], v[V], y[V];
    in.k[i].to(k);
    in.v[i].to(v);
#pragma unroll
    for (int j = 0; j < V; j++) {
      s[j].restart_if(at.starts_at(i));
      k[j] *= kLog2E;
      const Balance to(s[j].o, rates.first[j] + k[j]);
      y[j] = (to.left * s[j].a + to.right * v[j]) * reciprocal_approx(to.left * s[j].b + to.right);
      s[j] = after(s[j], rates.w[j], k[j], v[j]);
    }
    if constexpr (kGated) {
      float r[V];
      in.r[i].to(r);
#pragma unroll
      for (int j = 0; j < V; j++) {
        y[j] *= sigmoid(r[j]);
      }
    }
    if (place.stores) store_elements<V>(y_at + i * int(a.D), y);
  }
}
template <class T, class In, int V, int kCount, bool kGated>
__device__ void put_out(const WkvArgs& a, const In& in, const Segment& at, const Place<V>& place,
                        const Rates<V>& rates, Sums (&s)[V]) {
  // Not by at.count == kCount: of the minimum that count is, nvcc 13.0 takes a predicate for sm_90 that
  // says yes to three of four steps.
  if (at.begin + kCount <= int(a.T)) {
    put_out_some<true, T, In, V, kCount, kGated>(a, in, at, place, rates, s);
  } else {
    put_out_some<false, T, In, V, kCount, kGated>(a, in, at, place, rates, s);
  }
}

template <int V>
__device__ void load_initial(const WkvArgs& a, const Place<V>& place, Sums (&s)[V]) {
  if (a.initial_state == nullptr) return;
  load_sums<V>(static_cast<const float*>(a.initial_state) + place.b * 3 * a.D + place.d, a.D, s);
#pragma unroll
  for (int j = 0; j < V; j++) {
    s[j].o = fmaxf(s[j].o * kLog2E, kNothing);
  }
}
template <int V>
__device__ void store_last(const WkvArgs& a, const Place<V>& place, Sums (&s)[V]) {
  if (a.last_state == nullptr || !place.stores) return;
#pragma unroll
  for (int j = 0; j < V; j++) {
    s[j].o = s[j].o > kNothing / 2 ? s[j].o * kLn2 : kWkvNothing;
  }
  store_sums<V>(static_cast<float*>(a.last_state) + place.b * 3 * a.D + place.d, a.D, s);
}
template <int V>
__device__ void keep(const WkvArgs& a, const Place<V>& place, int begin, const Sums (&s)[V]) {
  const bool due = begin > 0 && begin % kWkvChunk == 0 && begin < a.T;
  if (a.checkpoints == nullptr || !due || !place.stores) return;
  store_sums<V>(checkpoint(a, place, begin / int(kWkvChunk)), a.D, s);
}

template <class T, int V, bool kGated>
__global__ void __launch_bounds__(32 * kSequentialWarps, sizeof(T) == 2 ? 8 : 1)
    walk(const __grid_constant__ WkvArgs a, int groups) {
  const int group = int(blockIdx.x) * kSequentialWarps + int(threadIdx.y);
  if (group >= groups) return;  // whole warps
  using In = Inputs<T, V, kSequentialSteps, kGated>;
  const Place<V> place(a, group);
  const Rates<V> rates(a, place.d);
  Sums s[V];
  load_initial<V>(a, place, s);
  In now, next;
  now.load(a, place, 0);
  for (int begin = 0; begin < int(a.T); begin += kSequentialSteps) {
    next.load(a, place, begin + kSequentialSteps);
    const Segment at = Segment::at<kSequentialSteps>(a, place, begin);
    keep<V>(a, place, begin, s);
    put_out<T, In, V, kSequentialSteps, kGated>(a, now, at, place, rates, s);
    now = next;
  }
  store_last<V>(a, place, s);
}

template <class T, int V, bool kGated>
__global__ void __launch_bounds__(32 * kSegments, sizeof(T) == 2 ? 4 : 1)
    walk_together(const __grid_constant__ WkvArgs a) {
  using In = Inputs<T, V, kSteps, kGated>;
  // In turns: who is still at one must not see the next.
  __shared__ Exchange<V, kSegments> exchange[2];
  __shared__ Exchange<V, 1> carry[2];  // the state before the block of steps
  const int warp = int(threadIdx.y);
  const bool last = warp == kSegments - 1;
  const Place<V> place(a, int(blockIdx.x));
  const Rates<V> rates(a, place.d);
  Sums s[V];
  if (last) {
    load_initial<V>(a, place, s);
    carry[0].put(0, s);
  }
  int turn = 0;
  for (int block = 0; block < int(a.T); block += kSegments * kSteps) {
    const int begin = block + warp * kSteps;
    In in;
    in.load(a, place, begin);
    const Segment at = Segment::at<kSteps>(a, place, begin);
    Sums own[V];
    sum_up<In, V, kSteps>(in, at, rates, own);
    exchange[turn].put(warp, own, at);
    __syncthreads();
#pragma unroll
    for (int j = 0; j < V; j++) {
      s[j] = carry[turn].get(0, j);
    }
    for (int before = 0; before < warp; before++) {
      exchange[turn].pass(before, rates.w, s);
    }
    if (last) {
      Sums end[V];
#pragma unroll
      for (int j = 0; j < V; j++) {
        end[j] = joined(s[j], at.shift(rates.w[j]), own[j]);
      }
      carry[turn ^ 1].put(0, end);
    }
    keep<V>(a, place, begin, s);
    put_out<T, In, V, kSteps, kGated>(a, in, at, place, rates, s);
    turn ^= 1;
  }
  if (last) store_last<V>(a, place, s);
}

template <class T, int V, bool kGated>
void launch(const WkvArgs& a) {
  const std::int64_t groups = a.B * ((a.D + 32 * V - 1) / (32 * V));
  if (groups >= kEnoughWarps || a.T <= kWkvChunk) {
    walk<T, V, kGated>
        <<<blocks_for(groups, kSequentialWarps), dim3(32, kSequentialWarps), 0, stream()>>>(
            a, int(groups));
  } else {
    walk_together<T, V, kGated><<<int(groups), dim3(32, kSegments), 0, stream()>>>(a);
  }
}

}  // namespace

void wkv_forward(const WkvArgs& a) {
  if (a.B == 0 || a.D == 0) return;
  if (a.B * a.T >= std::int64_t{1} << 31) unsupported("wkv_forward", "2^31 tokens");
  with_device_type(a.type, "wkv_forward", [&]<class T>() {
    const bool gated = a.r != nullptr;
    if (pairs_move_together<T>(a)) {
      gated ? launch<T, 2, true>(a) : launch<T, 2, false>(a);
    } else {
      gated ? launch<T, 1, true>(a) : launch<T, 1, false>(a);
    }
  });
  launched("wkv_forward");
}

}  // namespace farsight::cuda
