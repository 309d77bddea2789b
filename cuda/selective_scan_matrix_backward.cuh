// The backward of the scan around its two sweeps (selective_scan_matrix_backward.cu): what a chunk of
// kSteps steps needs before, between and after them, four channels of a step at a time.
#pragma once

#include "cuda/selective_scan_matrix_warp.cuh"

namespace farsight::cuda {

/// Stores four channels of a gradient of the activations, by offsets of 32 bits.
template <bool kLean>
__device__ inline void put_four(void* base, std::int64_t stride, unsigned row, int d, float (&x)[4],
                                bool add) {
  if (!kLean && base == nullptr) return;
  uint2& to = *reinterpret_cast<uint2*>(static_cast<char*>(base) +
                                        (row * unsigned(stride) + unsigned(d)) * 2);
  if (!kLean && add) {
    float before[4];
    unpack_four(to, before);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      x[i] += before[i];
    }
  }
  to = pack_four(x);
}

/// sigmoid(p) = 1 - e^-dt for dt = softplus(p): one exponential where p would take two functions.
__device__ inline float sigmoid_of_softplus(float dt) {
  const float small = dt * fmaf(-0.5f, dt, 1.0f);  // the difference would lose its digits
  return dt < 0x1p-8f ? small : 1.0f - exp2_approx(-dt * kLog2E);
}

template <int kParts, bool kLean, bool kGate>
struct BackwardPhases : BackwardWarp<kParts, kLean, kGate> {
  using Base = BackwardWarp<kParts, kLean, kGate>;
  using Base::a, Base::shared, Base::me, Base::set, Base::T, Base::N, Base::first, Base::first_row;
  using Base::Base;
  using Base::group, Base::share, Base::pass, Base::kN, Base::kOwn;
  using Base::has_gate, Base::has_z, Base::starts, Base::row_of, Base::own_row, Base::four;
  using Base::load_p, Base::make_p, Base::each_own, Base::clear_beyond, Base::coming,
      Base::coming_bias;
  using typename Base::Shared;

  /// Where the lane's four channels of a step that it prepares stand.
  __device__ int own_four() const { return spread(me.pair, me.row); }

  using OwnRows = uint2[kOwn];  // of the steps that a lane prepares
  __device__ void take(typename Base::Coming what, OwnRows& rows) const {
#pragma unroll
    for (int o = 0; o < kOwn; o++) {
      rows[o] = coming(what, o);
    }
  }
  /// dt and dt u.
  __device__ void prepare(const OwnRows& own_u) const {
    float bias[4];
    from_float4(coming_bias(), bias);
    each_own([&](int, int step, int o) {
      const unsigned row = row_of(first + step);
      float p[4], u[4], dt[4], input[4];
      make_p(coming(Base::kDelta, o), has_gate() ? coming(Base::kGateOf, o) : uint2{}, bias, p);
      unpack_four(own_u[o], u);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        dt[i] = short_softplus(p[i]);
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        input[i] = dt[i] * u[i];
      }
      if (starts(row)) dt[0] = dt[1] = dt[2] = dt[3] = kLongTime;
      set.dt[step][own_four()] = to_float4(dt);
      set.input[step][own_four()] = to_float4(input);
    });
    clear_beyond([&](int step) {
      if (first + step >= T) set.dt[step][own_four()] = make_float4(0, 0, 0, 0);  // states stay
      set.input[step][own_four()] = make_float4(0, 0, 0, 0);
    });
  }

  struct Gated {  // what `gate` reads
    OwnRows z, dy;
  };
  __device__ void load(Gated& gated) const {
#pragma unroll
    for (int o = 0; o < kOwn; o++) {
      const unsigned row = own_row(o);
      if (has_z()) gated.z[o] = four(a.z, a.z_stride, row);
      gated.dy[o] = kLean || a.dy != nullptr ? four(a.dy, a.channels, row) : make_uint2(0, 0);
    }
  }
  /// dz, and dy silu(z) in place of y.
  __device__ void gate(const Gated& gated, const OwnRows& own_u) const {
    float D[4];
    me.load_four(a.D, D);
    each_own([&](int, int step, int o) {
      const bool there = first + step < T;
      float dy[4];
      unpack_four(gated.dy[o], dy);
      if (has_z()) {
        float z[4], u[4], y[4], gradient[4];
        unpack_four(gated.z[o], z);
        unpack_four(own_u[o], u);
        from_float4(set.y[0][step][own_four()], y);
#pragma unroll
        for (int part = 1; part < kParts; part++) {
          float of_part[4];
          from_float4(set.y[part][step][own_four()], of_part);
#pragma unroll
          for (int i = 0; i < 4; i++) {
            y[i] += of_part[i];
          }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const float s = scan_sigmoid(z[i]), silu = z[i] * s;
          // silu' = s (1 + z (1 - s)) = s + silu (1 - s)
          gradient[i] = dy[i] * fmaf(D[i], u[i], y[i]) * fmaf(silu, 1.0f - s, s);
          dy[i] *= silu;
        }
        if (me.valid && there) {
          put_four<kLean>(a.dz, a.dz_stride, first_row + unsigned(first + step), me.d, gradient,
                          a.dz_add);
        }
      }
      set.y[0][step][own_four()] = to_float4(dy);
    });
    clear_beyond([&](int step) { set.y[0][step][own_four()] = make_float4(0, 0, 0, 0); });
  }

  __device__ const GroupSums& sums_of(int warp, int s) const {
    return *reinterpret_cast<const GroupSums*>(shared.slots[warp][kGroupSteps * s + 1]);
  }
  /// What `finish` reads beside: for dgate and the gate's share of ddelta, delta and the gate.
  struct Factors {
    float D[4];
    OwnRows delta, gate;
  };
  __device__ void load(Factors& factors) const {
    me.load_four(a.D, factors.D);
    if (!has_gate()) return;
#pragma unroll
    for (int o = 0; o < kOwn; o++) {
      factors.delta[o] = four(a.delta, a.delta_stride, own_row(o));
      factors.gate[o] = four(a.gate, a.gate_stride, own_row(o));
    }
  }
  /// du, ddelta and dgate.
  __device__ void finish(const OwnRows& own_u, const Factors& factors) const {
    float sum_of_D[4] = {}, sum_of_p[4] = {};
    each_own([&](int s, int step, int o) {
      const unsigned row = row_of(first + step);
      float u[4], dt[4], dy[4], from_input[4], from_decay[4], of_u[4], of_p[4];
      unpack_four(own_u[o], u);
      from_float4(set.dt[step][own_four()], dt);
      if (starts(row)) {
        float bias[4], p[4];
        me.load_four(a.bias, bias);
        load_p(row, bias, p);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          dt[i] = short_softplus(p[i]);
        }
      }
      from_float4(set.y[0][step][own_four()], dy);
      from_float4(sums_of(me.set * kParts, s).channels[0][me.pair][own_four()], from_input);
      from_float4(sums_of(me.set * kParts, s).channels[1][me.pair][spread(me.pair ^ 1, me.row)],
                  from_decay);
#pragma unroll
      for (int part = 1; part < kParts; part++) {
        const GroupSums& sums = sums_of(me.set * kParts + part, s);
        float x[4], y[4];
        from_float4(sums.channels[0][me.pair][own_four()], x);
        from_float4(sums.channels[1][me.pair][spread(me.pair ^ 1, me.row)], y);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          from_input[i] += x[i];
          from_decay[i] += y[i];
        }
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        // from_decay is in units of log2: decay = A log2(e).
        const float ddt = fmaf(u[i], from_input[i], from_decay[i] * (kUncut / kLog2E));
        of_p[i] = ddt * sigmoid_of_softplus(dt[i]);
        of_u[i] = fmaf(factors.D[i], dy[i], dt[i] * from_input[i]);
      }
      if (!me.valid || first + step >= T) return;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        sum_of_D[i] = fmaf(dy[i], u[i], sum_of_D[i]);
        sum_of_p[i] += of_p[i];
      }
      put_four<kLean>(a.du, a.du_stride, row, me.d, of_u, a.du_add);
      if (has_gate()) {
        float delta[4], gate[4];
        unpack_four(factors.delta[o], delta);
        unpack_four(factors.gate[o], gate);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          delta[i] *= of_p[i];
          of_p[i] *= gate[i];
        }
        put_four<kLean>(a.dgate, a.dgate_stride, row, me.d, delta, a.dgate_add);
      }
      put_four<kLean>(a.ddelta, a.ddelta_stride, row, me.d, of_p, a.ddelta_add);
    });
    add_float4(shared.totals[0][threadIdx.x], sum_of_D);
    add_float4(shared.totals[1][threadIdx.x], sum_of_p);
  }

  /// The block's dB and dC: a thread has one column of every kAtOnce-th step.
  __device__ void store_selection_sums() const {
    constexpr int kAcross = 2 * kN, kAtOnce = kBackwardThreads / kAcross;
    constexpr int kWarp = static_cast<int>(sizeof(shared.slots[0]) / sizeof(float));
    const int thread = thread_again(), x = thread % kAcross, n = x % kN;
    const int offset = thread / kAcross, which = x < kN ? 1 : 0;
    const float* const from = &sums_of(n / kScanStates, 0).states[which][offset][n % kScanStates];
    float* const to = static_cast<float*>(a.partial_bc) +
                      (std::int64_t(group) * a.batch * T + first_row + first + offset) * 2 * N +
                      (which == 0 ? N : 0) + n;
#pragma unroll
    for (int step = 0; step < kSteps; step += kAtOnce) {
      float sum = 0;
#pragma unroll
      for (int i = 0; i < Shared::kSets; i++) {
        sum += from[i * kParts * kWarp + step / kGroupSteps * (kGroupSteps * int(kSlotBytes) / 4) +
                    step % kGroupSteps * GroupSums::kStride];
      }
      if (first + step + offset < T && n < N) put(to + step * 2 * N, sum, pass > 0);
    }
  }

  /// The share's dA, dD and dbias.
  __device__ void store_parameters(const Tile& dA) const {
    float* const partial =
        static_cast<float*>(a.partial_param) + share * (a.N + 2) * a.channels + me.d;
    __syncthreads();
    if (!me.valid) return;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int j = i / 2, k = i % 2, n = me.n + 8 * j + 2 * me.pair + k;
      if (n < N) {
        *reinterpret_cast<float4*>(partial + n * a.channels) =
            make_float4(dA[0][j][k], dA[0][j][2 + k], dA[1][j][k], dA[1][j][2 + k]);
      }
    }
    if (me.part != 0 || me.pair >= 2) return;
    float total[4] = {};  // four lanes of every warp of the set have steps of the same channels
#pragma unroll
    for (int i = 0; i < 4 * kParts; i++) {
      const int thread = (me.warp + i / 4) * 32 + me.row * 4 + i % 4;
      float x[4];
      from_float4(shared.totals[me.pair][thread], x);
#pragma unroll
      for (int k = 0; k < 4; k++) {
        total[k] += x[k];
      }
    }
    *reinterpret_cast<float4*>(partial + (N + me.pair) * a.channels) = to_float4(total);
  }
};

}  // namespace farsight::cuda
