// Selective scan, forward, on tensor cores. Layout [B, T, channels]; see selective_scan_matrix.cuh.
//
// A round is 8 steps for each of the kParts warps that share 32 channels: every warp prepares its own
// eight, dt = softplus(p) and dt u, into shared memory; all walk through the round with their states;
// every warp finishes its eight steps. With 16 states nothing but a warp is in step.
//
// Per token and channel: 4 elements (u, delta, z, y) and, when recording, N states every
// kCudaScanChunk steps: 8 + 2.7 bytes at N = 16, 0.36 ms for 65,536 x 1536 at 3 TB/s. One exponential
// a state at 16 a clock and multiprocessor: 0.44 ms, and three a step: 0.52 ms, the larger floor.
#include "cuda/selective_scan_matrix.cuh"

namespace farsight::cuda {
namespace {

constexpr int kForwardThreads = 32 * kTileWarps;

/// Of the 16 exponentials of a lane, those that multiply-adds compute: as many as bring the special
/// function unit and the issue of instructions to the same time.
template <int kParts>
inline constexpr int kPolynomials = kParts == 1   ? 1
                                    : kParts == 2 ? 2
                                                  : 3;

/// 2^x for x <= 0 with relative error 3e-6, exactly 1 at 0 and 0 below -127: 2^i by the exponent's bits,
/// times a polynomial on [-1/2, 1/2].
__device__ inline float exp2_polynomial(float x) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: the sum's last bit is worth 1
  const float bounded = fmaxf(x, -127.0f), shifted = bounded + kRound;
  const float f = bounded - (shifted - kRound);
  float p = 9.58284e-03f;
  p = fmaf(p, f, 5.590643e-02f);
  p = fmaf(p, f, 2.4024099e-01f);
  p = fmaf(p, f, 6.9312419e-01f);
  p = fmaf(p, f, 1.0f);
  return __uint_as_float(__float_as_uint(p) + (__float_as_uint(shifted) << 23));
}

/// y *= silu(z) for two values with one reciprocal: of the product of their denominators, which a bound
/// keeps finite (silu(-41) = -6e-17).
__device__ inline void gate_two(float& y0, float& y1, float z0, float z1) {
  const float d0 = 1.0f + exp2_approx(fminf(-z0 * kLog2E, 60.0f));
  const float d1 = 1.0f + exp2_approx(fminf(-z1 * kLog2E, 60.0f));
  const float r = reciprocal(d0 * d1);
  y0 *= z0 * (d1 * r);
  y1 *= z1 * (d0 * r);
}

/// Of the warps that share 32 channels.
template <int kParts>
struct ForwardShared {
  static constexpr int kRound = kBlockSteps * kParts;
  float4 dt[kRound][kTileChannels / 4];
  float4 input[kRound][kTileChannels / 4];  // dt u
  uint2 u[kRound][kTileChannels / 4];       // for the end of a round: registers are scarce
  // Of a block of steps, what a part of the states gives: [block][part][half of a lane's][lane].
  float4 y[kParts > 1 ? kParts : 1][kParts > 1 ? kParts : 1][2][kParts > 1 ? 32 : 1];
};

template <int kParts, bool kGate>
__global__ void __launch_bounds__(kForwardThreads, 4)
    scan_forward_matrix(const __grid_constant__ ScanArgs a) {
  using Shared = ForwardShared<kParts>;
  constexpr int kRound = Shared::kRound;
  __shared__ Shared sets[TilePlace<kParts>::kSets];
  const int channel_blocks = static_cast<int>(gridDim.x / static_cast<unsigned>(a.batch));
  const int block = static_cast<int>(blockIdx.x);
  const TilePlace<kParts> me(a, block / channel_blocks, block % channel_blocks);
  Shared& shared = sets[me.set];
  const int row = me.row, pair = me.pair;
  const int T = static_cast<int>(a.T), N = static_cast<int>(a.N);

  Tile decay, h;
  me.load_decay(a, decay);
  me.load_state(a, a.initial_state, h);
  float bias[4];
  me.load_four(a.bias, bias);

  const unsigned first_row = unsigned(me.b) * unsigned(T);
  const auto row_of = [&](int t) { return first_row + unsigned(min(t, T - 1)); };
  const Rows u_rows(a.u, a.u_stride), delta_rows(a.delta, a.delta_stride);
  const Rows z_rows(a.z, a.z_stride), gate_rows(a.gate, a.gate_stride);
  const Rows B_rows(a.B, a.B_stride), C_rows(a.C, a.C_stride);
  const int own =
      kBlockSteps * me.part + 2 * pair;  // the first of this lane's two steps in a round

  uint2 next_u[2], next_delta[2], next_gate[2];
  const auto load = [&](int first) {
#pragma unroll
    for (int s = 0; s < 2; s++) {
      const unsigned at = row_of(first + own + s);
      next_u[s] = u_rows.at<uint2>(at, me.d);
      next_delta[s] = delta_rows.at<uint2>(at, me.d);
      if constexpr (kGate) next_gate[s] = gate_rows.at<uint2>(at, me.d);
    }
  };
  StepColumns next_B[2];
  StateColumns next_C;
  const auto load_selection = [&](int t) {
    next_B[0].load(B_rows, me, row_of(t + pair), N);
    next_B[1].load(B_rows, me, row_of(t + kGroupSteps + pair), N);
    next_C.load(C_rows, me, row_of(t + row), N);
  };
  if (T > 0) {
    load(0);
    load_selection(0);
  }
  int until_checkpoint = 0, chunk = 0;

  for (int first = 0; first < T; first += kRound) {
    uint2 z[2];
    float dt[2][4];
#pragma unroll
    for (int s = 0; s < 2; s++) {  // prepare
      if (a.z != nullptr) z[s] = z_rows.at<uint2>(row_of(first + own + s), me.d);
      float p[4], gate[4];
      unpack_four(next_delta[s], p);
      if constexpr (kGate) unpack_four(next_gate[s], gate);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        dt[s][i] = short_softplus(kGate ? fmaf(p[i], gate[i], bias[i]) : p[i] + bias[i]);
      }
    }
    if (first + kRound > T) {  // beyond the end, a state stays as it is
#pragma unroll
      for (int i = 0; i < 8; i++) {
        if (first + own + i / 4 >= T) dt[i / 4][i % 4] = 0;
      }
    }
#pragma unroll
    for (int s = 0; s < 2; s++) {
      const float(&x)[4] = dt[s];
      float u4[4];
      unpack_four(next_u[s], u4);
      shared.u[own + s][row] = next_u[s];
      const int t = first + own + s;
      const bool starts = a.position != nullptr && t < T && a.position[first_row + t] == 0;
      shared.dt[own + s][row] = starts ? make_float4(kLongTime, kLongTime, kLongTime, kLongTime)
                                       : make_float4(x[0], x[1], x[2], x[3]);
      float input[4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        input[i] = x[i] * (u4[i] * kUncut);
      }
      shared.input[own + s][row] = make_float4(input[0], input[1], input[2], input[3]);
    }
    load(first + kRound);
    me.meet();

    float own_y[2][4] = {};
#pragma unroll 1
    for (int block = 0; block < kParts; block++) {
      const int t = first + kBlockSteps * block;
      if (t >= T) break;
      const StepColumns B0 = next_B[0], B1 = next_B[1];
      float C[2][2];
#pragma unroll
      for (int j = 0; j < 2; j++) {
        const unsigned word = next_C.word(me, j, N);
        C[j][0] = low_of(word);
        C[j][1] = high_of(word);
      }
      load_selection(t + kBlockSteps);
      float y[2][4] = {};  // [m][r]: channel 2 m + r / 2, step 2 pair + r % 2
#pragma unroll 1           // registers
      for (int s = 0; s < kBlockSteps / kGroupSteps; s++) {
        if (until_checkpoint == 0) {
          if (t + kGroupSteps * s < T) store_checkpoint(a, me, chunk, h);
          chunk++;
          until_checkpoint = kSteps;
        }
        until_checkpoint -= kGroupSteps;
        const float4 in = shared.input[kBlockSteps * block + kGroupSteps * s + pair][row];
        const float input[4] = {in.x, in.y, in.z, in.w};
        const float B[2] = {s == 0 ? B0[0] : B1[0], s == 0 ? B0[1] : B1[1]};
#pragma unroll
        for (int k = 0; k < kGroupSteps; k++) {
          const int step = kGroupSteps * s + k;
          Tile outer;
          me.clear(outer);
          add_outer(outer, input, B, pair == k);
          const float4 dt4 = shared.dt[kBlockSteps * block + step][row];
          const float time[4] = {dt4.x, dt4.y, dt4.z, dt4.w};
#pragma unroll
          for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int j = 0; j < 2; j++) {
              float(&x)[4] = h[m][j];
#pragma unroll
              for (int r = 0; r < 4; r++) {
                const float exponent = time[2 * m + r / 2] * decay[m][j][r];
                const bool polynomial = (8 * m + 4 * j + r) % 5 == 0 &&
                                        8 * m + 4 * j + r >= 20 - 5 * kPolynomials<kParts>;
                const float kept = polynomial ? exp2_polynomial(exponent) : exp2_approx(exponent);
                x[r] = fmaf(kept, x[r], outer[m][j][r]);
              }
              multiply_add_8(y[m], x[0], x[2], x[1], x[3], row == step ? C[j][0] : 0.0f,
                             row == step ? C[j][1] : 0.0f);
            }
          }
        }
      }
      if constexpr (kParts == 1) {
        __syncwarp();  // the next round overwrites dt and input
#pragma unroll
        for (int i = 0; i < 8; i++) {
          own_y[i / 4][i % 4] = y[i / 4][i % 4];
        }
      } else {
#pragma unroll
        for (int m = 0; m < 2; m++) {
          shared.y[block][me.part][m][me.lane] = make_float4(y[m][0], y[m][1], y[m][2], y[m][3]);
        }
      }
    }

    if constexpr (kParts > 1) {
      me.meet();
#pragma unroll
      for (int part = 0; part < kParts; part++) {
#pragma unroll
        for (int m = 0; m < 2; m++) {
          const float4 y = shared.y[me.part][part][m][me.lane];
          own_y[m][0] += y.x;
          own_y[m][1] += y.y;
          own_y[m][2] += y.z;
          own_y[m][3] += y.w;
        }
      }
    }
    float D[4];  // again every round: four registers less in the steps
    me.load_four(a.D, D);
#pragma unroll
    for (int s = 0; s < 2; s++) {  // finish
      float u4[4], y4[4];
      unpack_four(shared.u[own + s][row], u4);
#pragma unroll
      for (int i = 0; i < 4; i++) {
        y4[i] = fmaf(own_y[i / 2][i % 2 * 2 + s], kUncut, D[i] * u4[i]);
      }
      if (a.z != nullptr) {
        float z4[4];
        unpack_four(z[s], z4);
        gate_two(y4[0], y4[1], z4[0], z4[1]);
        gate_two(y4[2], y4[3], z4[2], z4[3]);
      }
      const int t = first + own + s;
      if (me.valid && t < T) {
        const unsigned at = (first_row + unsigned(t)) * unsigned(a.channels) + unsigned(me.d);
        static_cast<uint2*>(a.y)[at / 4] = pack_four(y4);
      }
    }
  }
  me.store_state(a, a.last_state, h, false);
}

template <int kParts>
void launch(const ScanArgs& a) {
  const auto start = [&](auto kernel) {
    const auto blocks = a.batch * blocks_for(a.channels, TilePlace<kParts>::kSets * kTileChannels);
    kernel<<<static_cast<unsigned>(blocks), kForwardThreads, 0, stream()>>>(a);
  };
  start(a.gate != nullptr ? scan_forward_matrix<kParts, true> : scan_forward_matrix<kParts, false>);
}

}  // namespace

bool scan_on_tensor_cores(const ScanArgs& a) {
  return a.type == DType::bf16 && a.N > 0 && a.N <= 64 && a.N % 2 == 0 &&
         moves_in<4>(a, a.y, a.channels) && moves_in<4>(a, a.u, a.u_stride) &&
         moves_in<4>(a, a.delta, a.delta_stride) && moves_in<4>(a, a.gate, a.gate_stride) &&
         moves_in<4>(a, a.z, a.z_stride) && moves_in<2>(a, a.B, a.B_stride) &&
         moves_in<2>(a, a.C, a.C_stride);
}

void scan_forward_on_tensor_cores(const ScanArgs& a) {
  with_scan_parts(a, [&]<int kParts>() { launch<kParts>(a); });
  launched("selective_scan_forward");
}

}  // namespace farsight::cuda
