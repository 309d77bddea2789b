// Selective scan, backward, on tensor cores. Tiles, warps and layout as in the forward
// (selective_scan_matrix.cuh); chunks from last to first. A chunk of kSteps steps:
//
//   prepare  dt and dt u of all steps, each by one of the warps that share the channels
//   rebuild  from the checkpoint: the state after every step goes to its slot (selective_scan_slots.cuh),
//            C h is summed again
//   gate     dz is stored; dy silu(z)
//   reverse  lambda = C dy + a[t+1] lambda[t+1] takes the place of h[t]. Four steps at a time: dC, sum of
//            dy h over the channels, dB, sum of dt u lambda, and the sums over the states that du and
//            ddelta need; all four are products. dA stays in registers. What `finish` and the next chunk
//            begin with is asked for before the last four
//   finish   du, ddelta and dgate are stored; the warps' dB and dC are added up
//
// Nothing is added atomically: a block stores its channels' dB and dC, a sequence its dA, dD and dbias,
// and two small kernels (selective_scan_backward.cu) sum those in order.
//
// Per token and channel: 7 elements (u, delta, z, dy, du, ddelta, dz), of which u is read twice, and the
// checkpoints: 18.7 bytes in bf16 at N = 16, 0.63 ms for 65,536 x 1536 at 3 TB/s. Two exponentials a state:
// 0.87 ms at 16 a clock and multiprocessor, five a step: 1.0 ms.
#include "cuda/selective_scan_matrix_backward.cuh"

namespace farsight::cuda {
namespace {

/// The states after every step into their slots, and C h into the set's y.
template <class Warp>
__device__ inline void rebuild(const Warp& warp, const SlotLane& at, const Tile& decay) {
  const int row = warp.me.row, pair = warp.me.pair;
  Words words;
  Tile h;
  load_tile(h, at.states, identity_of(row, pair));
#pragma unroll 1
  for (int s = 0; s < warp.groups; s++) {
    const int first = kGroupSteps * s;
    const float B[2] = {warp.of_step(0, first + pair, 0), warp.of_step(0, first + pair, 1)};
    const unsigned C[2] = {warp.of_states(1, first + row % 4, 0),
                           warp.of_states(1, first + row % 4, 1)};
    float input[4];
    from_float4(warp.set.input[first + pair][spread(pair, row)], input);
    const unsigned slots = at.states + unsigned(first + 1) * kSlotBytes;
    float time[kGroupSteps][4];  // all at once: what is stored below may not be passed by a load
#pragma unroll
    for (int k = 0; k < kGroupSteps; k++) {
      from_float4(warp.set.dt[first + k][spread(k, row)], time[k]);
    }
    float y[2][4] = {};  // columns: four steps
#pragma unroll
    for (int k = 0; k < kGroupSteps; k++) {
      Tile outer;
      warp.me.clear(outer);
      add_outer(outer, input, B, pair == k);
#pragma unroll
      for (int i = 0; i < 16; i++) {
        const int m = i / 8, j = i / 4 % 2, r = i % 4;
        const float kept = exp2_approx(time[k][2 * m + r / 2] * decay[m][j][r]);
        h[m][j][r] = fmaf(kept, h[m][j][r], outer[m][j][r]);
      }
      pack_tile(h, words);
      store_tile(slots + unsigned(k) * kSlotBytes, words);
#pragma unroll
      for (int m = 0; m < 2; m++) {
        multiply_add(y[m], words[m], row == k ? C[0] : 0, row == k ? C[1] : 0);
      }
    }
    if (pair < 2) {
#pragma unroll
      for (int c = 0; c < 2; c++) {
        const int step = 2 * pair + c;
        warp.set.y[warp.me.part][first + step][spread(step, row)] =
            make_float4(y[0][c], y[0][2 + c], y[1][c], y[1][2 + c]);
      }
    }
  }
}

/// From the last step to the first; leaves the GroupSums of every four steps. Before the last four, the
/// slots of the others are free: `ask` fills them.
template <class Warp, class Ask>
__device__ inline void reverse(const Warp& warp, const SlotLane& at, const Tile& decay,
                               Tile& adjoint, Tile& dA, Ask ask) {
  const int row = warp.me.row, pair = warp.me.pair;
  const unsigned identity = identity_of(row, pair);
#pragma unroll 1
  for (int s = warp.groups - 1; s >= 0; s--) {
    if (s == 0) ask();
    const int first = kGroupSteps * s;
    const float C[2] = {warp.of_step(1, first + pair, 0), warp.of_step(1, first + pair, 1)};
    const unsigned B[2] = {warp.of_states(0, first + row % 4, 0),
                           warp.of_states(0, first + row % 4, 1)};
    unsigned weights[4];  // columns: dy of four steps, dt u of four steps
    load_weights(weights, (row < 4 ? warp.set.y[0] : warp.set.input)[first + row % 4], row % 4,
                 pair);
    float dy[4];
    from_float4(warp.set.y[0][first + pair][spread(pair, row)], dy);
    const unsigned slot = unsigned(first) * kSlotBytes;  // the state before the four steps
    const unsigned by_state = at.states + slot, by_channel = at.channels + slot;
    float channels[2][4] = {};  // columns: lambda B of four steps, decay e of four steps
    float states[4];            // columns: dC of four steps, dB of four steps
#pragma unroll
    for (int k = 0; k < kGroupSteps; k++) {
      sum_channels(states, by_channel + unsigned(k + 1) * kSlotBytes, weights, k, pair);
    }
    float4 next_dt = warp.set.dt[first + kGroupSteps - 1][spread(kGroupSteps - 1, row)];
    constexpr int kAtOnce = Warp::kAtOnce;
#pragma unroll kAtOnce
    for (int k = kGroupSteps - 1; k >= 0; k--) {
      Tile before;
      load_tile(before, by_state + unsigned(k) * kSlotBytes, identity);
      add_outer(adjoint, dy, C, pair == k);  // now lambda
      Words words;
      pack_tile(adjoint, words);
      store_tile(by_state + unsigned(k + 1) * kSlotBytes, words);
      float dt[4], from_decay[4] = {};
      from_float4(next_dt, dt);
      const int next = max(k - 1, 0);
      next_dt = warp.set.dt[first + next][spread(next, row)];
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
        multiply_add(channels[m], words[m], row == k ? B[0] : 0, row == k ? B[1] : 0);
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
    GroupSums& sums = *reinterpret_cast<GroupSums*>(warp.shared.slots[warp.me.warp][first + 1]);
#pragma unroll
    for (int c = 0; c < 2; c++) {
      const int step = pair % 2 * 2 + c;
      sums.channels[pair / 2][step][spread(step ^ pair / 2, row)] =
          make_float4(channels[0][c], channels[0][2 + c], channels[1][c], channels[1][2 + c]);
      sums.states[pair / 2][step][row] = states[c];
      sums.states[pair / 2][step][row + 8] = states[2 + c];
    }
  }
}

template <int kParts, bool kLean, bool kGate>
__global__ void __launch_bounds__(kBackwardThreads, 3)
    scan_backward_matrix(const __grid_constant__ ScanArgs a, int passes) {
  using Warp = BackwardPhases<kParts, kLean, kGate>;
  extern __shared__ uint4 memory[];
  for (int pass = 0; pass < passes; pass++) {
    Warp warp(a, *reinterpret_cast<BackwardShared<kParts>*>(memory), pass, passes);
    const TilePlace<kParts>& me = warp.me;
    const SlotLane at(warp.shared.slots[me.warp], me.lane);
    __syncthreads();  // the last turn's sums have been read
    warp.shared.totals[0][threadIdx.x] = make_float4(0, 0, 0, 0);
    warp.shared.totals[1][threadIdx.x] = make_float4(0, 0, 0, 0);
    Tile decay, dA;
    me.load_decay(a, decay);
    me.clear(dA);

    const int chunks = static_cast<int>(a.chunks);
    const int begin = static_cast<int>(a.batch * warp.share / a.shares);
    const int end = static_cast<int>(a.batch * (warp.share + 1) / a.shares);
    if (chunks > 0) {
      warp.ask_for(begin, chunks - 1);
      warp.copy_selection(begin, chunks - 1);
    }
    await_stages<0>();
    __syncthreads();
    for (int b = begin; b < end; b++) {
      warp.begin_sequence(b);
      Tile adjoint;
      me.load_state(a, a.dlast_state, adjoint);
      for (int chunk = chunks - 1; chunk >= 0; chunk--) {
        warp.begin_chunk(chunk);
        Words start;
        warp.first_state(chunk, start);
        typename Warp::Gated gated;
        warp.load(gated);
        typename Warp::OwnRows u;
        warp.take(Warp::kU, u);
        warp.prepare(u);
        store_tile(at.states, start);
        me.meet();

        rebuild(warp, at, decay);
        me.meet();
        warp.gate(gated, u);
        me.meet();
        const bool more = chunk > 0 || b + 1 < end;
        const int next_b = chunk > 0 ? b : b + 1, next = chunk > 0 ? chunk - 1 : chunks - 1;
        reverse(warp, at, decay, adjoint, dA, [&] {
          warp.ask_for_u();
          if (more) warp.ask_for(next_b, next);
          end_stage();
        });

        typename Warp::Factors factors;
        warp.load(factors);
        __syncthreads();
        if (more) {
          warp.copy_selection(next_b, next);
        } else {
          end_stage();
        }
        await_stages<1>();  // all but the selection
        warp.take(Warp::kThisU, u);
        warp.finish(u, factors);
        warp.store_selection_sums();
        await_stages<0>();
        __syncthreads();  // the next chunk overwrites everything
      }
      me.store_state(a, a.dinitial, adjoint, a.dinitial_add);
    }
    warp.store_parameters(dA);
  }
}

template <int kParts>
void launch(const ScanArgs& a) {
  constexpr int kBytes = sizeof(BackwardShared<kParts>);
  const bool lean = a.z != nullptr && a.dz != nullptr && a.dy != nullptr && a.du != nullptr &&
                    a.ddelta != nullptr && a.position == nullptr && !a.dz_add && !a.du_add &&
                    !a.ddelta_add && !a.dgate_add && (a.gate == nullptr) == (a.dgate == nullptr);
  const auto start = [&](auto kernel) {
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
    kernel<<<static_cast<unsigned>(a.shares * a.groups), kBackwardThreads, kBytes, stream()>>>(
        a, passes_of(a, BackwardShared<kParts>::kSets * kTileChannels));
  };
  start(!lean               ? scan_backward_matrix<kParts, false, false>
        : a.gate == nullptr ? scan_backward_matrix<kParts, true, false>
                            : scan_backward_matrix<kParts, true, true>);
}

}  // namespace

bool scan_backward_on_tensor_cores(const ScanArgs& a) {
  if (!scan_on_tensor_cores(a) || !moves_in<4>(a, a.dy, a.channels) ||
      !moves_in<4>(a, a.du, a.du_stride) || !moves_in<4>(a, a.ddelta, a.ddelta_stride) ||
      !moves_in<4>(a, a.dgate, a.dgate_stride) || !moves_in<4>(a, a.dz, a.dz_stride)) {
    return false;
  }
  with_scan_parts(a, [&]<int kParts>() { launch<kParts>(a); });
  launched("selective_scan_backward");
  return true;
}

}  // namespace farsight::cuda
