// Selective scan, backward, on tensor cores. Tiles, warps and layout as in the forward
// (selective_scan_matrix.cuh); chunks from last to first. A chunk of kSteps steps:
//
//   prepare  dt and dt u of all steps, each by one of the warps that share the channels
//   rebuild  from the checkpoint: the state after every step goes to its slot (selective_scan_slots.cuh),
//            C h is summed again
//   gate     dz is stored; dy silu(z)
//   reverse  lambda = C dy + a[t+1] lambda[t+1] takes the place of h[t]. Four steps at a time: dC, sum of
//            dy h over the channels, dB, sum of dt u lambda, and the sums over the states that du and
//            ddelta need; all four are products. dA stays in registers
//   finish   du, ddelta and dgate are stored; the warps' dB and dC are added up
//
// Nothing is added atomically: a block stores its channels' dB and dC, a sequence its dA, dD and dbias,
// and two small kernels (selective_scan_backward.cu) sum those in order.
//
// Per token and channel: 7 elements (u, delta, z, dy, du, ddelta, dz), of which u is read twice, and the
// checkpoints: 18.7 bytes in bf16 at N = 16, 0.63 ms for 65,536 x 1536 at 3 TB/s. Two exponentials a state:
// 0.87 ms at 16 a clock and multiprocessor, five a step: 1.0 ms.
#include "cuda/selective_scan_slots.cuh"

namespace farsight::cuda {
namespace {

constexpr int kGroups = kSteps / kGroupSteps;
static_assert(kSteps % kGroupSteps == 0);
constexpr int kRowFours = kTileChannels / 4;

template <int kParts>
struct BackwardShared {
  static constexpr int kSets = TilePlace<kParts>::kSets;
  // Of a set of 32 channels.
  struct Set {
    float4 dt[kSteps][kRowFours];         // kLongTime where a sequence starts
    float4 input[kSteps][kRowFours];      // dt u
    float4 y[kParts][kSteps][kRowFours];  // C h of a part of the states; then [0] is dy silu(z)
  };
  char slots[kTileWarps][kSteps + 1]
            [kSlotBytes];  // the state before the chunk, and after every step
  Set sets[kSets];
};
/// What four steps leave in a warp's slots when these are free.
struct GroupSums {
  float4 channels[2][kGroupSteps][kRowFours];  // sums over the part's states: lambda B; decay e
  static constexpr int kStride = kScanStates + 4;
  float states[2][kGroupSteps][kStride];  // sums over the 32 channels: dC, dB
};
static_assert(sizeof(GroupSums) <= kGroupSteps * kSlotBytes);

__device__ inline float4 to_float4(const float (&x)[4]) {
  return make_float4(x[0], x[1], x[2], x[3]);
}
__device__ inline void from_float4(const float4& from, float (&x)[4]) {
  x[0] = from.x;
  x[1] = from.y;
  x[2] = from.z;
  x[3] = from.w;
}

/// A gradient of the activations, four channels at a time, by offsets of 32 bits.
struct Gradient {
  void* base;
  unsigned stride;
  bool add;

  __device__ Gradient(void* p, std::int64_t row_stride, bool adds)
      : base(p), stride(static_cast<unsigned>(row_stride)), add(adds) {}
  __device__ void put(unsigned row, int d, float (&x)[4]) const {
    if (base == nullptr) return;
    uint2& to = static_cast<uint2*>(base)[(row * stride + unsigned(d)) / 4];
    if (add) {
      float before[4];
      unpack_four(to, before);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        x[i] += before[i];
      }
    }
    to = pack_four(x);
  }
};

template <int kParts>
__global__ void __launch_bounds__(32 * kTileWarps, 3)
    scan_backward_matrix(const __grid_constant__ ScanArgs a) {
  using Shared = BackwardShared<kParts>;
  using Place = TilePlace<kParts>;
  constexpr int kOwn = (kGroups + kParts - 1) / kParts;  // groups of steps that a warp prepares
  extern __shared__ uint4 memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const Place me(a);
  typename Shared::Set& set = shared.sets[me.set];
  char* const slots = shared.slots[me.warp][0];
  const SlotLane at(slots, me.lane);
  const int row = me.row, pair = me.pair, d = me.d;
  const int T = static_cast<int>(a.T), N = static_cast<int>(a.N);
  const unsigned identity = identity_of(row, pair);

  Tile decay, adjoint, dA;
  me.load_decay(a, decay);
  me.load_state(a, a.dlast_state, adjoint);
  me.clear(dA);
  float dD[4] = {}, dbias[4] = {};

  const unsigned first_row = unsigned(me.b) * unsigned(T);
  const auto row_of = [&](int t) { return first_row + unsigned(min(t, T - 1)); };
  const Rows u_rows(a.u, a.u_stride), delta_rows(a.delta, a.delta_stride);
  const Rows z_rows(a.z, a.z_stride), gate_rows(a.gate, a.gate_stride);
  const Rows dy_rows(a.dy, a.channels);
  const Rows B_rows(a.B, a.B_stride), C_rows(a.C, a.C_stride);
  const Gradient du(a.du, a.du_stride, a.du_add), dz(a.dz, a.dz_stride, a.dz_add);
  const Gradient ddelta(a.ddelta, a.ddelta_stride, a.ddelta_add);
  const Gradient dgate(a.dgate, a.dgate_stride, a.dgate_add);
  const float weight = me.valid ? kUncut : 0.0f;  // of what is summed over the channels
  /// delta gate + bias of a step.
  const auto load_p = [&](unsigned t, float(&p)[4]) {
    float bias[4], gate[4];
    me.load_four(a.bias, bias);
    unpack_four(delta_rows.at<uint2>(t, d), p);
    if (a.gate != nullptr) {
      unpack_four(gate_rows.at<uint2>(t, d), gate);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        p[i] *= gate[i];
      }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
      p[i] += bias[i];
    }
  };

  for (int chunk = static_cast<int>(a.chunks) - 1; chunk >= 0; chunk--) {
    const int first = chunk * kSteps;
    const int groups = (min(kSteps, T - first) + kGroupSteps - 1) / kGroupSteps;
    const bool ragged = first + kSteps > T;
    Words words;
    {
      const bf16* const from = checkpoint(a, me, chunk);
      const int channels = static_cast<int>(a.channels), states = N - me.n - 2 * pair;
#pragma unroll
      for (int j = 0; j < 2; j++) {
        uint2 of_state[2] = {};
        if (8 * j < states) {
          of_state[0] = *reinterpret_cast<const uint2*>(from + 8 * j * channels);
          of_state[1] = *reinterpret_cast<const uint2*>(from + (8 * j + 1) * channels);
        }
#pragma unroll
        for (int e = 0; e < 2; e++) {
          const unsigned select = e == 0 ? 0x5410 : 0x7632;
          words[0][2 * j + e] = __byte_perm(of_state[0].x, of_state[1].x, select);
          words[1][2 * j + e] = __byte_perm(of_state[0].y, of_state[1].y, select);
        }
      }
    }

#pragma unroll
    for (int o = 0; o < kOwn; o++) {  // prepare
      const int s = me.part + o * kParts, step = kGroupSteps * s + pair;
      if (s >= groups) break;
      const unsigned at_row = row_of(first + step);
      float p[4], u[4], dt[4], input[4];
      load_p(at_row, p);
      unpack_four(u_rows.at<uint2>(at_row, d), u);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        dt[i] = scan_softplus(p[i]);
      }
      if (ragged && first + step >= T) {  // beyond the end, a state stays as it is
        dt[0] = dt[1] = dt[2] = dt[3] = 0;
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        input[i] = dt[i] * (u[i] * weight);
      }
      set.input[step][row] = to_float4(input);
      if (a.position != nullptr && first + step < T && a.position[at_row] == 0) {
        dt[0] = dt[1] = dt[2] = dt[3] = kLongTime;
      }
      set.dt[step][row] = to_float4(dt);
    }
    uint2 own_u[kOwn], own_z[kOwn], own_dy[kOwn];
#pragma unroll
    for (int o = 0; o < kOwn; o++) {
      const unsigned at_row = row_of(first + kGroupSteps * (me.part + o * kParts) + pair);
      own_u[o] = u_rows.at<uint2>(at_row, d);
      if (a.z != nullptr) own_z[o] = z_rows.at<uint2>(at_row, d);
      own_dy[o] = a.dy != nullptr ? dy_rows.at<uint2>(at_row, d) : make_uint2(0, 0);
    }
    StepColumns next_B;
    StateColumns next_C;
    next_B.load(B_rows, me, row_of(first + pair), N);
    next_C.load(C_rows, me, row_of(first + row % 4), N);
    store_tile(at.states, words);
    me.meet();

    {
      Tile h;
      unpack_tile(words, h);
#pragma unroll 1
      for (int s = 0; s < groups; s++) {  // rebuild
        const StepColumns B_columns = next_B;
        const StateColumns C = next_C;
        next_B.load(B_rows, me, row_of(first + kGroupSteps * (s + 1) + pair), N);
        next_C.load(C_rows, me, row_of(first + kGroupSteps * (s + 1) + row % 4), N);
        const float B[2] = {B_columns[0], B_columns[1]};
        float input[4];
        from_float4(set.input[kGroupSteps * s + pair][row], input);
        const unsigned group_slots = at.states + unsigned(kGroupSteps * s + 1) * kSlotBytes;
        float y[2][4] = {};  // columns: four steps
#pragma unroll
        for (int k = 0; k < kGroupSteps; k++) {
          Tile outer;
          me.clear(outer);
          add_outer(outer, input, B, pair == k);
          float time[4];
          from_float4(set.dt[kGroupSteps * s + k][row], time);
#pragma unroll
          for (int i = 0; i < 16; i++) {
            const int m = i / 8, j = i / 4 % 2, r = i % 4;
            const float kept = exp2_approx(time[2 * m + r / 2] * decay[m][j][r]);
            h[m][j][r] = fmaf(kept, h[m][j][r], outer[m][j][r]);
          }
          pack_tile(h, words);
          store_tile(group_slots + unsigned(k) * kSlotBytes, words);
#pragma unroll
          for (int m = 0; m < 2; m++) {
            multiply_add_16(y[m], words[m], row == k ? C.words[0] : 0, row == k ? C.words[1] : 0);
          }
        }
        if (pair < 2) {
#pragma unroll
          for (int c = 0; c < 2; c++) {
            set.y[me.part][kGroupSteps * s + 2 * pair + c][row] =
                make_float4(y[0][c], y[0][2 + c], y[1][c], y[1][2 + c]);
          }
        }
      }
    }
    me.meet();

    float D[4];
    me.load_four(a.D, D);
#pragma unroll
    for (int o = 0; o < kOwn; o++) {  // gate
      const int s = me.part + o * kParts, step = kGroupSteps * s + pair;
      if (s >= groups) break;
      const bool stores = me.valid && first + step < T;
      float dy[4];
      unpack_four(own_dy[o], dy);
      if (a.z != nullptr) {
        float z[4], u[4], y[4] = {}, gradient[4];
        unpack_four(own_z[o], z);
        unpack_four(own_u[o], u);
#pragma unroll
        for (int part = 0; part < kParts; part++) {
          float of_part[4];
          from_float4(set.y[part][step][row], of_part);
#pragma unroll
          for (int i = 0; i < 4; i++) {
            y[i] += of_part[i];
          }
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const float gated = scan_sigmoid(z[i]), silu = z[i] * gated;
          // silu' = s (1 + z (1 - s)) = s + silu (1 - s)
          gradient[i] = dy[i] * fmaf(D[i], u[i], y[i]) * fmaf(silu, 1.0f - gated, gated);
          dy[i] *= silu;
        }
        if (stores) dz.put(first_row + unsigned(first + step), d, gradient);
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        dy[i] *= weight;
      }
      if (ragged && first + step >= T) dy[0] = dy[1] = dy[2] = dy[3] = 0;
      set.y[0][step][row] = to_float4(dy);
    }
    StepColumns next_C_steps;
    StateColumns next_B_states;
    next_C_steps.load(C_rows, me, row_of(first + kGroupSteps * (groups - 1) + pair), N);
    next_B_states.load(B_rows, me, row_of(first + kGroupSteps * (groups - 1) + row % 4), N);
    me.meet();

#pragma unroll 1
    for (int s = groups - 1; s >= 0; s--) {  // reverse
      const float C[2] = {next_C_steps[0], next_C_steps[1]};
      const StateColumns B = next_B_states;
      const int next = first + kGroupSteps * max(s - 1, 0);
      next_C_steps.load(C_rows, me, row_of(next + pair), N);
      next_B_states.load(B_rows, me, row_of(next + row % 4), N);
      unsigned weights[4];  // columns: dy of four steps, dt u of four steps
      load_weights(weights, (row < 4 ? set.y[0] : set.input)[kGroupSteps * s + row % 4] + 2 * pair);
      float dy[4];
      from_float4(set.y[0][kGroupSteps * s + pair][row], dy);
      const unsigned slot =
          unsigned(kGroupSteps * s) * kSlotBytes;  // the state before the four steps
      const unsigned by_state = at.states + slot, by_channel = at.channels + slot;
      float channels[2][4] = {};  // columns: lambda B of four steps, decay e of four steps
      float states[4];            // columns: dC of four steps, dB of four steps
#pragma unroll
      for (int k = kGroupSteps - 1; k >= 0; k--) {
        sum_channels(states, by_channel + unsigned(k + 1) * kSlotBytes, weights, k, pair);
        Tile before;
        load_tile(before, by_state + unsigned(k) * kSlotBytes, identity);
        add_outer(adjoint, dy, C, pair == k);  // now lambda
        pack_tile(adjoint, words);
        store_tile(by_state + unsigned(k + 1) * kSlotBytes, words);
        float dt[4], from_decay[4] = {};
        from_float4(set.dt[kGroupSteps * s + k][row], dt);
#pragma unroll
        for (int i = 0; i < 16; i++) {
          const int m = i / 8, j = i / 4 % 2, r = i % 4, channel = 2 * m + r / 2;
          float& x = adjoint[m][j][r];
          x *= exp2_approx(dt[channel] * decay[m][j][r]);
          const float e = x * before[m][j][r];
          dA[m][j][r] = fmaf(dt[channel], e, dA[m][j][r]);
          from_decay[channel] = fmaf(decay[m][j][r], e, from_decay[channel]);
        }
#pragma unroll
        for (int m = 0; m < 2; m++) {
          multiply_add_16(channels[m], words[m], row == k ? B.words[0] : 0,
                          row == k ? B.words[1] : 0);
          multiply_add_4(channels[m], from_decay[2 * m], from_decay[2 * m + 1],
                         row == kGroupSteps + k ? 1.0f : 0.0f);
        }
      }
      __syncwarp();
#pragma unroll
      for (int k = 0; k < kGroupSteps; k++) {
        sum_channels(states, by_channel + unsigned(k + 1) * kSlotBytes, weights, kGroupSteps + k,
                     pair);
      }
      __syncwarp();  // the four slots are free
      GroupSums& sums = *reinterpret_cast<GroupSums*>(slots + slot + kSlotBytes);
#pragma unroll
      for (int c = 0; c < 2; c++) {
        const int step = pair % 2 * 2 + c;
        sums.channels[pair / 2][step][row] =
            make_float4(channels[0][c], channels[0][2 + c], channels[1][c], channels[1][2 + c]);
        sums.states[pair / 2][step][row] = states[c];
        sums.states[pair / 2][step][row + 8] = states[2 + c];
      }
    }
    __syncthreads();

    const auto sums_of = [&](int warp, int s) -> const GroupSums& {
      return *reinterpret_cast<const GroupSums*>(shared.slots[warp][kGroupSteps * s + 1]);
    };
#pragma unroll
    for (int o = 0; o < kOwn; o++) {  // finish
      const int s = me.part + o * kParts, step = kGroupSteps * s + pair;
      if (s >= groups) break;
      const unsigned at_row = row_of(first + step);
      float u[4], p[4], dt[4], dy[4], from_input[4] = {}, from_decay[4] = {};
      unpack_four(u_rows.at<uint2>(at_row, d), u);
      load_p(at_row, p);
      from_float4(set.dt[step][row], dt);
      if (a.position != nullptr && a.position[at_row] == 0) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          dt[i] = scan_softplus(p[i]);
        }
      }
      from_float4(set.y[0][step][row], dy);
#pragma unroll
      for (int part = 0; part < kParts; part++) {
        const GroupSums& sums = sums_of(me.set * kParts + part, s);
        float x[4], y[4];
        from_float4(sums.channels[0][pair][row], x);
        from_float4(sums.channels[1][pair][row], y);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          from_input[i] += x[i];
          from_decay[i] += y[i];
        }
      }
      float of_u[4], of_p[4], of_delta[4], of_gate[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        // from_decay is in units of log2: decay = A log2(e).
        const float ddt = fmaf(u[i], from_input[i], from_decay[i] * (kUncut / kLog2E));
        of_p[i] = ddt * scan_sigmoid(p[i]);
        of_u[i] = fmaf(D[i], dy[i], dt[i] * from_input[i]);
        of_delta[i] = of_p[i];
      }
      if (!me.valid || first + step >= T) continue;
#pragma unroll
      for (int i = 0; i < 4; i++) {
        dD[i] = fmaf(dy[i], u[i], dD[i]);
        dbias[i] += of_p[i];
      }
      if (a.gate != nullptr) {
        float delta[4], gate[4];
        unpack_four(delta_rows.at<uint2>(at_row, d), delta);
        unpack_four(gate_rows.at<uint2>(at_row, d), gate);
#pragma unroll
        for (int i = 0; i < 4; i++) {
          of_gate[i] = of_p[i] * delta[i];
          of_delta[i] = of_p[i] * gate[i];
        }
        dgate.put(at_row, d, of_gate);
      }
      du.put(at_row, d, of_u);
      ddelta.put(at_row, d, of_delta);
    }
    {  // dB and dC of the block's channels: a thread has one column of every kAtOnce-th step
      constexpr int kAcross = 2 * kScanStates * kParts, kAtOnce = 32 * kTileWarps / kAcross;
      const int x = static_cast<int>(threadIdx.x) % kAcross, n = x % (kAcross / 2);
      const int offset = static_cast<int>(threadIdx.x) / kAcross;
      const int part = n / kScanStates, which = x < kAcross / 2 ? 1 : 0;  // dB comes first
      const float* const from = &sums_of(part, 0).states[which][offset][n % kScanStates];
      float* const to =
          static_cast<float*>(a.partial_bc) +
          (std::int64_t(me.group) * a.batch * T + first_row + first + offset) * 2 * N +
          (which == 0 ? N : 0) + n;
#pragma unroll
      for (int step = 0; step < kSteps; step += kAtOnce) {
        constexpr int kFloats = static_cast<int>(sizeof(shared.slots[0]) / sizeof(float));
        float sum = 0;
#pragma unroll
        for (int i = 0; i < Shared::kSets; i++) {
          sum +=
              from[i * kParts * kFloats + step / kGroupSteps * (kGroupSteps * int(kSlotBytes) / 4) +
                   step % kGroupSteps * GroupSums::kStride];
        }
        if (first + step + offset < T && n < N) to[step * 2 * N] = sum;
      }
    }
    __syncthreads();  // the next chunk overwrites everything
  }

  me.store_state(a, a.dinitial, adjoint, a.dinitial_add);
  float* const partial = static_cast<float*>(a.partial_param) + me.b * (a.N + 2) * a.channels + d;
  if (me.valid) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int n = me.n + i / 2 * 8 + 2 * pair + i % 2, j = i / 2, k = i % 2;
      if (n < N) {
        *reinterpret_cast<float4*>(partial + n * a.channels) =
            make_float4(dA[0][j][k], dA[0][j][2 + k], dA[1][j][k], dA[1][j][2 + k]);
      }
    }
  }
  // dD and dbias: four lanes, and the warps of the set, have steps of the same channels.
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int offset = 1; offset < 4; offset *= 2) {
      dD[i] += __shfl_xor_sync(0xffffffffu, dD[i], offset);
      dbias[i] += __shfl_xor_sync(0xffffffffu, dbias[i], offset);
    }
  }
  auto* const ends = reinterpret_cast<float4(*)[2][kRowFours]>(memory);  // [warp]
  if (pair == 0) {
    ends[me.warp][0][row] = to_float4(dD);
    ends[me.warp][1][row] = to_float4(dbias);
  }
  __syncthreads();
  if (me.part == 0 && pair < 2 && me.valid) {
    float total[4] = {};
#pragma unroll
    for (int part = 0; part < kParts; part++) {
      float x[4];
      from_float4(ends[me.warp + part][pair][row], x);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        total[i] += x[i];
      }
    }
    *reinterpret_cast<float4*>(partial + (N + pair) * a.channels) = to_float4(total);
  }
}

}  // namespace

bool scan_backward_on_tensor_cores(const ScanArgs& a) {
  if (!scan_on_tensor_cores(a) || !moves_in<4>(a, a.dy, a.channels) ||
      !moves_in<4>(a, a.du, a.du_stride) || !moves_in<4>(a, a.ddelta, a.ddelta_stride) ||
      !moves_in<4>(a, a.dgate, a.dgate_stride) || !moves_in<4>(a, a.dz, a.dz_stride)) {
    return false;
  }
  with_scan_parts(a, [&]<int kParts>() {
    constexpr int kBytes = sizeof(BackwardShared<kParts>);
    cudaFuncSetAttribute(scan_backward_matrix<kParts>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         kBytes);
    scan_backward_matrix<kParts>
        <<<static_cast<unsigned>(a.batch * a.groups), 32 * kTileWarps, kBytes, stream()>>>(a);
  });
  launched("selective_scan_backward");
  return true;
}

}  // namespace farsight::cuda
