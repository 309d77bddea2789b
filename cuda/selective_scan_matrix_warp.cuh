// What the phases of the scan's backward on tensor cores share: the block's shared memory, and a warp's
// place, rows and selection. The phases: selective_scan_matrix_backward.cuh, .cu.
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
  // Of 32 channels; a step's fours stand where `spread` of the step in its group says.
  struct Set {
    float4 dt[kSteps][kRowFours];         // kLongTime where a sequence starts
    float4 input[kSteps][kRowFours];      // dt u
    float4 y[kParts][kSteps][kRowFours];  // C h of a part of the states; then [0] is dy silu(z)
  };
  uint4 slots[kTileWarps][kSteps + 1][kSlotBytes / 16];  // before the chunk, and after every step
  Set sets[kSets];
  float4 totals[2][kBackwardThreads];  // every thread's dD and dbias: registers are scarce
  // B and C, zeros beyond N; four words more, so that four steps begin in banks of their own.
  unsigned selection[kSteps][kN + 4];
};
/// What four steps leave in a warp's slots when these are free.
struct GroupSums {
  // Sums over the part's states: lambda B; decay e. A four stands at spread(step ^ which, row).
  float4 channels[2][kGroupSteps][kRowFours];
  static constexpr int kStride = kScanStates + 4;
  float states[2][kGroupSteps][kStride];  // sums over the 32 channels: dC, dB
};
static_assert(sizeof(GroupSums) <= kGroupSteps * kSlotBytes);

/// This thread's number, as if it were new every time: what is computed from it is computed again where it
/// is used, and does not take registers from the sweeps.
__device__ inline int thread_again() {
  int thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  __builtin_assume(thread >= 0);
  return thread;
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

/// A warp's place in the work. kLean: z and the gradients of all activations are there, none is added to
/// what is there, and no sequence starts inside a row; the gate is there if kGate. Otherwise all is asked.
template <int kParts, bool kLean, bool kGate>
struct BackwardWarp {
  using Shared = BackwardShared<kParts>;
  static constexpr int kOwn = (kGroups + kParts - 1) / kParts;  // groups of steps it prepares
  static constexpr int kN = Shared::kN;
  static constexpr int kAtOnce = kGate ? 1 : 2;  // reverse steps; more would spill
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
  __device__ void make_p(uint2 delta, uint2 gate, const float (&bias)[4], float (&p)[4]) const {
    unpack_four(delta, p);
    float factor[4] = {1, 1, 1, 1};
    if (has_gate()) unpack_four(gate, factor);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      p[i] = fmaf(p[i], factor[i], bias[i]);
    }
  }
  __device__ void load_p(unsigned row, const float (&bias)[4], float (&p)[4]) const {
    uint2 gate = {};
    if (has_gate()) gate = four(a.gate, a.gate_stride, row);
    make_p(four(a.delta, a.delta_stride, row), gate, bias, p);
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

  /// Sends a chunk's rows of B and C on their way to shared memory; see await_stages.
  __device__ void copy_selection(int sequence, int chunk) const {
    constexpr int kWords = kSteps * kN;
    const int thread = thread_again();
#pragma unroll
    for (int i = 0; i < kWords; i += kBackwardThreads) {
      const int at = i + thread, step = at / kN;
      const int which = at % kN / (kN / 2), word = at % (kN / 2);
      if (i + kBackwardThreads > kWords && at >= kWords) break;
      const Rows rows(which == 0 ? a.B : a.C, which == 0 ? a.B_stride : a.C_stride);
      copy_ahead<4>(&shared.selection[step][which * (kN / 2) + word],
                    rows.address(unsigned(sequence * T + min(chunk * kSteps + step, T - 1)),
                                 min(2 * word, N - 2)),
                    2 * word < N);
    }
    end_stage();
  }
  /// State 8 j + row of B or C at a step, for add_outer.
  __device__ float of_step(int which, int step, int j) const {
    const auto* const row = reinterpret_cast<const unsigned short*>(shared.selection[step]);
    return __uint_as_float(unsigned(row[which * kN + me.n + 8 * j + me.row]) << 16);
  }
  /// States 8 j + 2 pair and the next, for sums over the states.
  __device__ unsigned of_states(int which, int step, int j) const {
    return shared.selection[step][which * (kN / 2) + me.n / 2 + 4 * j + me.pair];
  }

  /// What is on its way to a lane while the last four steps of a chunk are reversed: it lies where slots
  /// are free by then, behind the GroupSums of the other eight steps. Only the lane itself reads it, so that
  /// await_stages is enough.
  enum Coming { kThisU, kDelta, kU, kGateOf, kStates };
  __device__ uint2& coming(int what, int i) const {
    // Rows of a step stand together, as they come; half a warp, which reads at once, has four rows.
    const int place = me.pair * 8 + (me.row ^ me.pair / 2 * 4);
    return what < kGateOf ? free_of(2)[(what * kOwn + i) * 32 + place]
                          : free_of(1)[((what - kGateOf) * kOwn + i) * 32 + place];
  }
  __device__ float4& coming_bias() const {
    return reinterpret_cast<float4*>(free_of(1) + (kOwn + 4) * 32)[me.lane];
  }
  /// Behind the GroupSums of a group of steps.
  __device__ uint2* free_of(int group) const {
    constexpr int kFree = int(kGroupSteps * kSlotBytes - sizeof(GroupSums));
    static_assert(kGroups == 3 && 3 * kOwn * 32 * int(sizeof(uint2)) <= kFree);
    static_assert((kOwn + 4) * 32 * int(sizeof(uint2)) + 32 * int(sizeof(float4)) <= kFree);
    return reinterpret_cast<uint2*>(
        reinterpret_cast<GroupSums*>(shared.slots[me.warp][kGroupSteps * group + 1]) + 1);
  }
  /// Asks for the chunk's u again; registers do not last through the sweeps.
  __device__ void ask_for_u() const {
#pragma unroll
    for (int o = 0; o < kOwn; o++) {
      copy_ahead<8>(&coming(kThisU, o), Rows(a.u, a.u_stride).address(own_row(o), me.d), true);
    }
  }
  /// Asks for what a chunk begins with.
  __device__ void ask_for(int sequence, int chunk) const {
    TilePlace<kParts> there = me;
    there.b = sequence;
    const unsigned from = checkpoint(a, there, max(chunk, 1));
    const unsigned channels = static_cast<unsigned>(a.channels);
    const auto* const all = static_cast<const uint2*>(a.checkpoints);
    const int states = chunk > 0 ? N - me.n - 2 * me.pair : 0;
#pragma unroll
    for (int j = 0; j < 2; j++) {
#pragma unroll
      for (int k = 0; k < 2; k++) {
        copy_ahead<8>(&coming(kStates, 2 * j + k),
                      all + (from + unsigned(8 * j + k) * channels) / 4, 8 * j < states);
      }
    }
    copy_ahead<16>(&coming_bias(), static_cast<const float*>(a.bias) + me.d, true);
#pragma unroll
    for (int o = 0; o < kOwn; o++) {
      const int t = chunk * kSteps + kGroupSteps * (me.part + o * kParts) + me.pair;
      const unsigned row = unsigned(sequence * T + min(t, T - 1));
      copy_ahead<8>(&coming(kDelta, o), Rows(a.delta, a.delta_stride).address(row, me.d), true);
      copy_ahead<8>(&coming(kU, o), Rows(a.u, a.u_stride).address(row, me.d), true);
      if (has_gate()) {
        copy_ahead<8>(&coming(kGateOf, o), Rows(a.gate, a.gate_stride).address(row, me.d), true);
      }
    }
  }
  /// The state before the chunk, as it lies in a slot.
  __device__ void first_state(int chunk, Words& words) const {
    if (chunk == 0) {
      Tile h;
      me.load_state(a, a.initial_state, h);
      return pack_tile(h, words);
    }
#pragma unroll
    for (int j = 0; j < 2; j++) {
#pragma unroll
      for (int e = 0; e < 2; e++) {
        const unsigned select = e == 0 ? 0x5410 : 0x7632;
        const uint2 even = coming(kStates, 2 * j), odd = coming(kStates, 2 * j + 1);
        words[0][2 * j + e] = __byte_perm(even.x, odd.x, select);
        words[1][2 * j + e] = __byte_perm(even.y, odd.y, select);
      }
    }
  }
};

}  // namespace farsight::cuda
