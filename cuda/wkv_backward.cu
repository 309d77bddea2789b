// A block of four warps takes a chunk of kWkvChunk steps at once, from the last chunk to the first; a
// warp has eight steps of it. Up from the checkpoint before the chunk: each warp sums up its steps,
// reads the sums of the warps before it and goes through its steps again, keeping what each passes.
// Then down: the same with the adjoints, from the last warp to the first. What is kept of a step are
// registers; nothing is indexed by time.
//
// Of a step, with Q its denominator: past = (sum over what came before of weight times value) / Q,
// weight = (the same without values) / Q, exponent = log2 Q. The step's own share of Q is 1 - weight,
// but computed as a power, so that it is right when it is small.
//
// Floor: k, v, dy (and r) read once, dk, dv (and dr) written once.
#include "cuda/wkv.cuh"
#include "cuda/wkv_steps.cuh"

namespace farsight::cuda {
namespace {

using namespace wkv_parts;

/// The adjoints (P, R) of ops/wkv.h a step earlier: behind step i, then before it.
template <class T, int V>
__device__ Sums before(const Sums& s, const Steps<T, V>& steps, int i, int j, float w, float v,
                       float dwkv) {
  const Balance to(s.o + w, -steps.exponent[i][j]);
  const float from_y = to.right * dwkv;
  const float y = steps.past[i][j] + (1.0f - steps.weight[i][j]) * v;
  return {to.left * s.a + from_y, to.left * s.b - from_y * y, to.max};
}

/// Down through the warp's steps, for what they alone add to the adjoints.
template <bool kWhole, class T, int V>
__device__ void sum_up(const Steps<T, V>& steps, const Segment& at, const Rates<V>& rates,
                       Sums (&s)[V]) {
#pragma unroll
  for (int i = kSteps - 1; i >= 0; i--) {
    if (!at.template has<kWhole>(i)) continue;
    float v[V], dwkv[V];
    unpack(steps.v[i], v);
    unpack(steps.dwkv[i], dwkv);
#pragma unroll
    for (int j = 0; j < V; j++) {
      s[j] = before<T, V>(s[j], steps, i, j, rates.w[j], v[j], dwkv[j]);
      s[j].restart_if(at.starts_at(i));
    }
  }
}

/// Down again, from the adjoints behind them: dk, dv and shares of dw and dfirst.
template <bool kWhole, class T, int V>
__device__ void differentiate(const WkvArgs& a, const Place<V>& place, const Segment& at,
                              const Rates<V>& rates, const Steps<T, V>& steps, Sums (&s)[V],
                              float (&dw)[V], float (&dfirst)[V]) {
  T* dk_at = place.template at<T>(a, a.dk, a.dk_stride, at.begin);
  T* dv_at = place.template at<T>(a, a.dv, a.dv_stride, at.begin);
#pragma unroll
  for (int i = kSteps - 1; i >= 0; i--) {
    if (!at.template has<kWhole>(i)) continue;
    float k[V], v[V], dwkv[V], dk[V], dv[V];
    unpack(steps.k[i], k);
    unpack(steps.v[i], v);
    unpack(steps.dwkv[i], dwkv);
#pragma unroll
    for (int j = 0; j < V; j++) {
      k[j] *= kLog2E;
      const float past = steps.past[i][j], weight = steps.weight[i][j];
      const float exponent = steps.exponent[i][j];
      const float own = dwkv[j] * exp2_approx(rates.first[j] + k[j] - exponent);
      const float from_first = own * (weight * v[j] - past);  // v - y without their difference
      const float scale = exp2_approx(k[j] + s[j].o);
      dv[j] = own + scale * s[j].a;
      dk[j] = from_first + scale * (s[j].a * v[j] + s[j].b);
      dfirst[j] += from_first;
      dw[j] += exp2_approx(rates.w[j] + s[j].o + exponent) * (s[j].a * past + s[j].b * weight);
      s[j] = before<T, V>(s[j], steps, i, j, rates.w[j], v[j], dwkv[j]);
      s[j].restart_if(at.starts_at(i));
    }
    if (!place.stores) continue;
    if (a.dk != nullptr) put_elements<V>(dk_at + i * int(a.dk_stride), dk, a.dk_add);
    if (a.dv != nullptr) put_elements<V>(dv_at + i * int(a.dv_stride), dv, a.dv_add);
  }
}

/// What the warps of a block tell each other.
template <int V>
struct Shared {
  Exchange<V, kWarps> up, down;
  Exchange<V, 1> carry[2];  // the adjoints behind the chunk, in turns
};

template <bool kWhole, class T, int V, bool kGated>
__device__ void chunk_back(const WkvArgs& a, const Place<V>& place, const Rates<V>& rates,
                           int chunk, int turn, Shared<V>& shared, float (&dw)[V],
                           float (&dfirst)[V]) {
  const int warp = int(threadIdx.y);
  const Segment at = Segment::at<kSteps>(a, place, (chunk * kWarps + warp) * kSteps);
  Steps<T, V> steps;
  Packed<T, V> r[kGated ? kSteps : 1];
  {
    const T* k_at = place.template at<T>(a, a.k, a.k_stride, at.begin);
    const T* v_at = place.template at<T>(a, a.v, a.v_stride, at.begin);
    const T* dy_at = place.template at<T>(a, a.dy, a.D, at.begin);
    const T* r_at = kGated ? place.template at<T>(a, a.r, a.r_stride, at.begin) : nullptr;
#pragma unroll
    for (int i = 0; i < kSteps; i++) {
      if (!at.template has<kWhole>(i)) break;
      steps.k[i].load(k_at + i * int(a.k_stride));
      steps.v[i].load(v_at + i * int(a.v_stride));
      steps.dwkv[i].load(dy_at + i * int(a.D));
      if constexpr (kGated) r[i].load(r_at + i * int(a.r_stride));
    }
  }
  Sums s[V], own[V];
  if (chunk > 0) load_sums<V>(checkpoint(a, place, chunk), a.D, s);
#pragma unroll
  for (int i = 0; i < kSteps; i++) {
    if (!at.template has<kWhole>(i)) break;
    float k[V], v[V];
    unpack(steps.k[i], k);
    unpack(steps.v[i], v);
#pragma unroll
    for (int j = 0; j < V; j++) {
      own[j].restart_if(at.starts_at(i));
      own[j] = after(own[j], rates.w[j], k[j] * kLog2E, v[j]);
    }
  }
  shared.up.put(warp, own, at);
  __syncthreads();
  for (int earlier = 0; earlier < warp; earlier++) {
    shared.up.pass(earlier, rates.w, s);
  }
  rebuild<kWhole, T, V, kGated>(a, place, at, rates, r, s, steps);
#pragma unroll
  for (int j = 0; j < V; j++) {
    own[j] = Sums();
  }
  sum_up<kWhole, T, V>(steps, at, rates, own);
  shared.down.put(warp, own, at);
  __syncthreads();
#pragma unroll
  for (int j = 0; j < V; j++) {
    s[j] = shared.carry[turn].get(0, j);
  }
  for (int later = kWarps - 1; later > warp; later--) {
    shared.down.pass(later, rates.w, s);
  }
  if (warp == 0) {
    Sums end[V];
#pragma unroll
    for (int j = 0; j < V; j++) {
      end[j] = joined(s[j], at.shift(rates.w[j]), own[j]);
    }
    shared.carry[turn ^ 1].put(0, end);
  }
  differentiate<kWhole, T, V>(a, place, at, rates, steps, s, dw, dfirst);
}

template <class T, int V, bool kGated>
__global__ void __launch_bounds__(32 * kWarps, sizeof(T) == 2 ? 4 : 1)
    walk_back(const __grid_constant__ WkvArgs a) {
  __shared__ Shared<V> shared;
  const int warp = int(threadIdx.y);
  const Place<V> place(a, int(blockIdx.x));
  const Rates<V> rates(a, place.d);
  float dw[V] = {}, dfirst[V] = {};
  if (warp == 0) shared.carry[0].put(0, {});
  int turn = 0, chunk = a.T > 0 ? int(a.chunks) - 1 : -1;
  if (a.T % kWkvChunk != 0) {
    chunk_back<false, T, V, kGated>(a, place, rates, chunk--, turn, shared, dw, dfirst);
    turn = 1;
  }
  for (; chunk >= 0; chunk--, turn ^= 1) {
    chunk_back<true, T, V, kGated>(a, place, rates, chunk, turn, shared, dw, dfirst);
  }
  // The warps' shares, in order; `up` is read no more since the last barrier.
#pragma unroll
  for (int j = 0; j < V; j++) {
    shared.up.sums[warp][0][threadIdx.x * V + j] = dw[j];
    shared.up.sums[warp][1][threadIdx.x * V + j] = dfirst[j];
  }
  __syncthreads();
  if (warp > 1 || !place.stores) return;
  float total[V] = {};
#pragma unroll
  for (int from = 0; from < kWarps; from++) {
#pragma unroll
    for (int j = 0; j < V; j++) {
      total[j] += shared.up.sums[from][warp][threadIdx.x * V + j];
    }
  }
  store_elements<V>(static_cast<float*>(a.partial) + (place.b * 2 + warp) * a.D + place.d, total);
}

/// blockIdx.y: decay, first.
__global__ void __launch_bounds__(1024) sum_shares(const __grid_constant__ WkvArgs a) {
  const bool decay = blockIdx.y == 0;
  float* to = static_cast<float*>(decay ? a.ddecay : a.dfirst);
  if (to == nullptr) return;  // the whole block
  const std::int64_t d = std::int64_t(blockIdx.x) * 32 + threadIdx.x;
  const float* partial = static_cast<const float*>(a.partial) + blockIdx.y * a.D;
  float sum = sum_of_shares(partial, a.shares, 2 * a.D, d < a.D ? d : -1);
  if (threadIdx.y != 0 || d >= a.D) return;
  if (decay) sum *= -expf(static_cast<const float*>(a.decay)[d]);
  put(to + d, sum, decay ? a.ddecay_add : a.dfirst_add);
}

template <class T, int V, bool kGated>
void launch(const WkvArgs& a) {
  const std::int64_t groups = a.B * ((a.D + 32 * V - 1) / (32 * V));
  walk_back<T, V, kGated><<<int(groups), dim3(32, kWarps), 0, stream()>>>(a);
}

}  // namespace

void wkv_backward(const WkvArgs& a) {
  if (a.D == 0) return;
  if (a.B * a.T >= std::int64_t{1} << 31) unsupported("wkv_backward", "2^31 tokens");
  if (a.B > 0) {
    with_device_type(a.type, "wkv_backward", [&]<class T>() {
      const bool gated = a.r != nullptr;
      if (pairs_move_together<T>(a)) {
        gated ? launch<T, 2, true>(a) : launch<T, 2, false>(a);
      } else {
        gated ? launch<T, 1, true>(a) : launch<T, 1, false>(a);
      }
    });
    launched("wkv_backward");
  }
  const dim3 grid(static_cast<unsigned>(blocks_for(a.D, 32)), 2);
  sum_shares<<<grid, dim3(32, 32), 0, stream()>>>(a);
  launched("wkv_backward, sums of ddecay and dfirst");
}

}  // namespace farsight::cuda
