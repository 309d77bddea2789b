// The backward of the scan around its two sweeps (selective_scan_matrix_backward.cu): what a chunk of
// kSteps steps needs before, between and after them, four channels of a step at a time.
#pragma once

#include "cuda/selective_scan_slots.cuh"

namespace farsight::cuda {

inline constexpr int kBackwardThreads = 32 * kTileWarps;
inline constexpr int kGroups = kSteps / kGroupSteps;
static_assert(kSteps % kGroupSteps == 0);
inline constexpr int kRowFours = kTileChannels / 4;

template <int kParts>
struct BackwardShared {
  static constexpr int kSets = TilePlace<kParts>::kSets;
  static constexpr int kN = kScanStates * kParts;
  struct Set {                            // of 32 channels
    float4 dt[kSteps][kRowFours];         // kLongTime where a sequence starts
    float4 input[kSteps][kRowFours];      // dt u
    float4 y[kParts][kSteps][kRowFours];  // C h of a part of the states; then [0] is dy silu(z)
  };
  uint4 slots[kTileWarps][kSteps + 1][kSlotBytes / 16];  // before the chunk, and after every step
  Set sets[kSets];
  float4 totals[2][kBackwardThreads];     // every thread's dD and dbias: registers are scarce
  unsigned selection[kSteps][2][kN / 2];  // B and C, zeros beyond N
};
/// What four steps leave in a warp's slots when these are free.
struct GroupSums {
  float4 channels[2][kGroupSteps][kRowFours];  // sums over the part's states: lambda B; decay e
  static constexpr int kStride = kScanStates + 4;
  float states[2][kGroupSteps][kStride];  // sums over the 32 channels: dC, dB
};
static_assert(sizeof(GroupSums) <= kGroupSteps * kSlotBytes);

/// Waits for this thread's copies; a barrier must follow.
__device__ inline void await_copies() {
  asm volatile("cp.async.wait_all;" ::: "memory");
}
/// 4 bytes from global to shared memory in the background, zeros if not `valid`.
__device__ inline void copy_4(void* to, const void* from, bool valid) {
  const unsigned address = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = valid ? 4 : 0;
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(address), "l"(from), "r"(bytes)
               : "memory");
}

__device__ inline float4 to_float4(const float (&x)[4]) {
  return make_float4(x[0], x[1], x[2], x[3]);
}
__device__ inline void from_float4(const float4& from, float (&x)[4]) {
  x[0] = from.x;
  x[1] = from.y;
  x[2] = from.z;
  x[3] = from.w;
}
__device__ inline void add_float4(float4& to, const float (&x)[4]) {
  to = make_float4(to.x + x[0], to.y + x[1], to.z + x[2], to.w + x[3]);
}

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

/// A warp's work. kLean: z and the gradients of all activations are there, none is added to what is
/// there, and no sequence starts inside a row; the gate is there if kGate. Otherwise all is asked.
template <int kParts, bool kLean, bool kGate>
struct BackwardWarp {
  using Shared = BackwardShared<kParts>;
  static constexpr int kOwn = (kGroups + kParts - 1) / kParts;  // groups of steps it prepares
  static constexpr int kN = Shared::kN;
  const ScanArgs& a;
  Shared& shared;
  TilePlace<kParts> me;
  typename Shared::Set& set;
  const int T, N;

  const int group, share, pass;  // of the sums: the channels; the sequences; the turn in the group
  unsigned first_row = 0;        // of the sequence
  int first = 0, groups = 0;     // of the chunk: its first step, its groups of four steps

  __device__ BackwardWarp(const ScanArgs& args, Shared& memory, int turn, int passes)
      : a(args),
        shared(memory),
        me(args, 0,
           static_cast<int>(blockIdx.x % static_cast<unsigned>(args.groups)) * passes + turn),
        set(memory.sets[me.set]),
        T(static_cast<int>(args.T)),
        N(static_cast<int>(args.N)),
        group(static_cast<int>(blockIdx.x % static_cast<unsigned>(args.groups))),
        share(static_cast<int>(blockIdx.x / static_cast<unsigned>(args.groups))),
        pass(turn) {}

  __device__ void begin_sequence(int b) {
    me.b = b;
    first_row = unsigned(b) * unsigned(T);
  }
  __device__ void begin_chunk(int chunk) {
    first = chunk * kSteps;
    groups = (min(kSteps, T - first) + kGroupSteps - 1) / kGroupSteps;
  }
  __device__ bool has_gate() const { return kLean ? kGate : a.gate != nullptr; }
  __device__ bool has_z() const { return kLean || a.z != nullptr; }
  __device__ bool starts(unsigned row) const {
    return !kLean && a.position != nullptr && a.position[row] == 0;
  }
  __device__ unsigned row_of(int t) const { return first_row + unsigned(min(t, T - 1)); }
  __device__ uint2 four(const void* from, std::int64_t stride, unsigned row) const {
    return Rows(from, stride).at<uint2>(row, me.d);
  }
  /// delta gate + bias.
  __device__ void load_p(unsigned row, const float (&bias)[4], float (&p)[4]) const {
    unpack_four(four(a.delta, a.delta_stride, row), p);
    float gate[4] = {1, 1, 1, 1};
    if (has_gate()) unpack_four(four(a.gate, a.gate_stride, row), gate);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      p[i] = fmaf(p[i], gate[i], bias[i]);
    }
  }
  /// Of what is loaded ahead: without a test, which would cost more than a row in vain.
  __device__ unsigned own_row(int o) const {
    return row_of(first + kGroupSteps * (me.part + o * kParts) + me.pair);
  }
  /// f(group s, step in the chunk, index o) for the steps that this lane prepares.
  template <class F>
  __device__ void each_own(F f) const {
#pragma unroll
    for (int o = 0; o < kOwn; o++) {
      const int s = me.part + o * kParts;
      if (s < groups) f(s, kGroupSteps * s + me.pair, o);
    }
  }

  /// f(step) where a chunk reaches beyond the sequence or a tile beyond the channels.
  template <class F>
  __device__ void clear_beyond(F f) const {
    if (first + kSteps <= T && me.whole) return;
    each_own([&](int, int step, int) {
      if (!me.valid || first + step >= T) f(step);
    });
  }

  /// Sends a chunk's rows of B and C on their way to shared memory; see await_copies.
  __device__ void copy_selection(int sequence, int chunk) const {
    constexpr int kWords = kSteps * kN;
#pragma unroll
    for (int i = 0; i < kWords; i += kBackwardThreads) {
      const int at = i + static_cast<int>(threadIdx.x), step = at / kN;
      const int which = at % kN / (kN / 2), word = at % (kN / 2);
      if (i + kBackwardThreads > kWords && at >= kWords) break;
      const Rows rows(which == 0 ? a.B : a.C, which == 0 ? a.B_stride : a.C_stride);
      copy_4(&shared.selection[step][which][word],
             rows.address(unsigned(sequence * T + min(chunk * kSteps + step, T - 1)),
                          min(2 * word, N - 2)),
             2 * word < N);
    }
  }
  /// State 8 j + row of B or C at a step, for add_outer.
  __device__ float of_step(int which, int step, int j) const {
    const auto* const row = reinterpret_cast<const unsigned short*>(shared.selection[step][which]);
    return __uint_as_float(unsigned(row[me.n + 8 * j + me.row]) << 16);
  }
  /// States 8 j + 2 pair and the next, for sums over the states.
  __device__ unsigned of_states(int which, int step, int j) const {
    return shared.selection[step][which][me.n / 2 + 4 * j + me.pair];
  }

  __device__ void load_checkpoint(int chunk, Words& words) const {
    if (chunk == 0) {
      Tile h;
      me.load_state(a, a.initial_state, h);
      return pack_tile(h, words);
    }
    const unsigned from = checkpoint(a, me, chunk), channels = static_cast<unsigned>(a.channels);
    const auto* const all = static_cast<const uint2*>(a.checkpoints);
    const int states = N - me.n - 2 * me.pair;
#pragma unroll
    for (int j = 0; j < 2; j++) {
      uint2 of_state[2] = {};
      if (8 * j < states) {
        of_state[0] = all[(from + unsigned(8 * j) * channels) / 4];
        of_state[1] = all[(from + unsigned(8 * j + 1) * channels) / 4];
      }
#pragma unroll
      for (int e = 0; e < 2; e++) {
        const unsigned select = e == 0 ? 0x5410 : 0x7632;
        words[0][2 * j + e] = __byte_perm(of_state[0].x, of_state[1].x, select);
        words[1][2 * j + e] = __byte_perm(of_state[0].y, of_state[1].y, select);
      }
    }
  }

  /// dt and dt u.
  __device__ void prepare() const {
    float bias[4];
    me.load_four(a.bias, bias);
    each_own([&](int, int step, int) {
      const unsigned row = row_of(first + step);
      float p[4], u[4], dt[4], input[4];
      load_p(row, bias, p);
      unpack_four(four(a.u, a.u_stride, row), u);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        dt[i] = short_softplus(p[i]);
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        input[i] = dt[i] * u[i];
      }
      if (starts(row)) dt[0] = dt[1] = dt[2] = dt[3] = kLongTime;
      set.dt[step][me.row] = to_float4(dt);
      set.input[step][me.row] = to_float4(input);
    });
    clear_beyond([&](int step) {
      if (first + step >= T) set.dt[step][me.row] = make_float4(0, 0, 0, 0);  // states stay
      set.input[step][me.row] = make_float4(0, 0, 0, 0);
    });
  }

  struct Gated {  // what `gate` reads
    uint2 z[kOwn], dy[kOwn];
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
  __device__ void gate(const Gated& gated) const {
    float D[4];
    me.load_four(a.D, D);
    uint2 own_u[kOwn];
    load_u(own_u);
    each_own([&](int, int step, int o) {
      const bool there = first + step < T;
      float dy[4];
      unpack_four(gated.dy[o], dy);
      if (has_z()) {
        float z[4], u[4], y[4], gradient[4];
        unpack_four(gated.z[o], z);
        unpack_four(own_u[o], u);
        from_float4(set.y[0][step][me.row], y);
#pragma unroll
        for (int part = 1; part < kParts; part++) {
          float of_part[4];
          from_float4(set.y[part][step][me.row], of_part);
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
      set.y[0][step][me.row] = to_float4(dy);
    });
    clear_beyond([&](int step) { set.y[0][step][me.row] = make_float4(0, 0, 0, 0); });
  }

  __device__ const GroupSums& sums_of(int warp, int s) const {
    return *reinterpret_cast<const GroupSums*>(shared.slots[warp][kGroupSteps * s + 1]);
  }
  __device__ void load_u(uint2 (&u)[kOwn]) const {
#pragma unroll
    for (int o = 0; o < kOwn; o++) {
      u[o] = four(a.u, a.u_stride, own_row(o));
    }
  }
  /// du, ddelta and dgate.
  __device__ void finish(const uint2 (&own_u)[kOwn]) const {
    float D[4];
    me.load_four(a.D, D);
    each_own([&](int s, int step, int o) {
      const unsigned row = row_of(first + step);
      float u[4], dt[4], dy[4], from_input[4], from_decay[4], of_u[4], of_p[4], of_D[4];
      unpack_four(own_u[o], u);
      from_float4(set.dt[step][me.row], dt);
      if (starts(row)) {
        float bias[4], p[4];
        me.load_four(a.bias, bias);
        load_p(row, bias, p);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          dt[i] = short_softplus(p[i]);
        }
      }
      from_float4(set.y[0][step][me.row], dy);
      from_float4(sums_of(me.set * kParts, s).channels[0][me.pair][me.row], from_input);
      from_float4(sums_of(me.set * kParts, s).channels[1][me.pair][me.row], from_decay);
#pragma unroll
      for (int part = 1; part < kParts; part++) {
        const GroupSums& sums = sums_of(me.set * kParts + part, s);
        float x[4], y[4];
        from_float4(sums.channels[0][me.pair][me.row], x);
        from_float4(sums.channels[1][me.pair][me.row], y);
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
        of_u[i] = fmaf(D[i], dy[i], dt[i] * from_input[i]);
        of_D[i] = dy[i] * u[i];
      }
      if (!me.valid || first + step >= T) return;
      add_float4(shared.totals[0][threadIdx.x], of_D);
      add_float4(shared.totals[1][threadIdx.x], of_p);
      put_four<kLean>(a.du, a.du_stride, row, me.d, of_u, a.du_add);
      if (has_gate()) {
        float delta[4], gate[4];
        unpack_four(four(a.delta, a.delta_stride, row), delta);
        unpack_four(four(a.gate, a.gate_stride, row), gate);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          delta[i] *= of_p[i];
          of_p[i] *= gate[i];
        }
        put_four<kLean>(a.dgate, a.dgate_stride, row, me.d, delta, a.dgate_add);
      }
      put_four<kLean>(a.ddelta, a.ddelta_stride, row, me.d, of_p, a.ddelta_add);
    });
  }

  /// The block's dB and dC: a thread has one column of every kAtOnce-th step.
  __device__ void store_selection_sums() const {
    constexpr int kAcross = 2 * kN, kAtOnce = kBackwardThreads / kAcross;
    constexpr int kWarp = static_cast<int>(sizeof(shared.slots[0]) / sizeof(float));
    const int x = static_cast<int>(threadIdx.x) % kAcross, n = x % kN;
    const int offset = static_cast<int>(threadIdx.x) / kAcross, which = x < kN ? 1 : 0;
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
