// Selective scan, backward, for any type and sizes; and, for all, the last sums. Blocks, threads and
// layout as in the forward; chunks from last to first. A chunk of kSteps steps takes four sweeps over
// shared memory:
//   rebuild  from the checkpoint: h after every step is kept (in the activations' type), y is made
//            again and dz is stored
//   dC       sum over the channels of dy[t] h[t]
//   reverse  lambda = C dy + a[t+1] lambda[t+1]; dA, dD, dbias stay in registers; du, ddelta and
//            dgate are stored; lambda[t] takes the place of h[t]
//   dB       sum over the channels of (dt u)[t] lambda[t]
// Nothing is added atomically: a block stores its group's dB and dC and its share's dA, dD and dbias,
// and two small kernels sum those in order.
#include "cuda/selective_scan_sums.cuh"

namespace farsight::cuda {
namespace {

// ---- the scan -----------------------------------------------------------------------------------------

/// A gradient's column of a chunk, as one thread writes it.
template <class T>
struct Output {
  T* to;
  int stride;
  bool wanted, add;

  __device__ Output(void* p, std::int64_t row_stride, std::int64_t first, std::int64_t d,
                    bool stores, bool adds)
      : to(static_cast<T*>(p) + first * row_stride + d),
        stride(static_cast<int>(row_stride)),
        wanted(stores && p != nullptr),
        add(adds) {}
  __device__ void operator()(int step, float x) const {
    if (wanted) put(to + std::int64_t(step) * stride, x, add);
  }
};

template <class T, int kLanes>
__global__ void __launch_bounds__(kScanThreads, 1)
    scan_backward(const __grid_constant__ ScanArgs a, int passes) {
  using Block = ScanBlock<T, kLanes>;
  using Shared = BackwardShared<T, kLanes>;
  extern __shared__ uint4 memory[];
  Shared& shared = *reinterpret_cast<Shared*>(memory);
  const int groups = static_cast<int>(a.groups), share = static_cast<int>(blockIdx.x) / groups;
  const int group = static_cast<int>(blockIdx.x) % groups;

  for (int pass = 0; pass < passes; pass++) {
    const int channel_block = group * passes + pass;
    if (channel_block * Block::kChannels >= a.channels) break;
    ScanThread<T, kLanes> me(a, 0, channel_block);
    const bool stores = me.valid && me.part == 0;  // one lane of a channel
    T(*const states)[32 * kScanStates] = shared.states[me.warp];
    float decay[kScanStates], adjoint[kScanStates], dA[kScanStates] = {};
    me.load_decay(a, decay);
    const float D = me.parameter(a.D), bias = me.parameter(a.bias);
    float dD = 0, dbias = 0;

    const int last_b = static_cast<int>(a.batch * (share + 1) / a.shares);
    for (me.b = static_cast<int>(a.batch * share / a.shares); me.b < last_b; me.b++) {
      me.load_state(a.dlast_state, adjoint);
      for (int chunk = static_cast<int>(a.chunks) - 1; chunk >= 0; chunk--) {
        const std::int64_t first = me.b * a.T + chunk * kSteps;
        const int count = min(kSteps, static_cast<int>(a.T) - chunk * kSteps);
        float* const partial =
            static_cast<float*>(a.partial_bc) + (group * a.batch * a.T + first) * 2 * a.N;
        const auto rows = [&](T* to, const void* from, std::int64_t stride) {
          stage_rows<T, kLanes>(to, from, stride, first, count, me.first_channel, me.channels);
        };
        rows(shared.u, a.u, a.u_stride);
        rows(shared.delta, a.delta, a.delta_stride);
        if (a.z != nullptr) rows(shared.z, a.z, a.z_stride);
        rows(shared.dy, a.dy, a.channels);
        if (a.gate != nullptr) rows(shared.gate, a.gate, a.gate_stride);
        if (a.position != nullptr && static_cast<int>(threadIdx.x) < count) {
          shared.position[threadIdx.x] = a.position[first + threadIdx.x];
        }
        Selection<T, kLanes> selection;
        selection.load(a, first, count);
        float h[kScanStates];
        me.load_checkpoint(a, chunk, h);
        uint4 start[kPieces<T>];  // the same, as it will be kept
#pragma unroll
        for (int piece = 0; piece < kPieces<T>; piece++) {
          keep(reinterpret_cast<T*>(start + piece), h + piece * kVector<T>);
        }
        selection.store(a, first, count, shared.selection);
        const auto output = [&](void* p, std::int64_t stride, bool add) {
          return Output<T>(p, stride, first, me.d, stores, add);
        };
        const Output<T> du = output(a.du, a.du_stride, a.du_add);
        const Output<T> ddelta = output(a.ddelta, a.ddelta_stride, a.ddelta_add);
        const Output<T> dgate = output(a.dgate, a.dgate_stride, a.dgate_add);
        const Output<T> dz = output(a.dz, a.dz_stride, a.dz_add);
        const auto starts = [&](int i) { return a.position != nullptr && shared.position[i] == 0; };
        __syncthreads();

        for (int i = 0; i < count; i++) {  // rebuild
          const int at = i * Block::kChannels + me.column;
          const float u = to_float(shared.u[at]);
          float p = to_float(shared.delta[at]);
          if (a.gate != nullptr) p *= to_float(shared.gate[at]);
          const float dt = scan_softplus(p + bias);
          const float input = dt * u;
          shared.dt[i][threadIdx.x] = dt;
          const float time = starts(i) ? kLongTime : dt;
          const float4* B =
              reinterpret_cast<const float4*>(shared.selection + i * 2 * Block::kN + me.n);
          const float4* C = B + Block::kN / 4;
          float y = advance(h, decay, time, input, B, C);
          keep_states(states[i], me.lane, h);
          const float dout = to_float(shared.dy[at]);
          float dy = dout;
          if (a.z != nullptr) {
            y = fmaf(D, u, me.sum_states(y));
            const float z = to_float(shared.z[at]), s = scan_sigmoid(z);
            dy *= z * s;
            dz(i, dout * y * s * fmaf(z, 1.0f - s, 1.0f));
          }
          if constexpr (kLanes > 1) __syncwarp();  // the channel's lanes have read dy and z
          if (me.part == 0) {
            shared.dy[at] = from_float<T>(dy);
            shared.z[at] = from_float<T>(input);
          }
        }

        __syncthreads();
        sum_channels<false>(a, partial + a.N, shared, shared.dy, count, pass > 0);
        __syncthreads();

        T* const last = states[count - 1];
#pragma unroll
        for (int piece = 0; piece < kPieces<T>; piece++) {
          *reinterpret_cast<uint4*>(piece_of(last, me.lane, piece)) = start[piece];
        }
        for (int i = count - 1; i >= 0; i--) {  // reverse
          const int at = i * Block::kChannels + me.column;
          const float dy = to_float(shared.dy[at]), dt = shared.dt[i][threadIdx.x];
          const float time = starts(i) ? kLongTime : dt;
          const float4* B =
              reinterpret_cast<const float4*>(shared.selection + i * 2 * Block::kN + me.n);
          const float4* C = B + Block::kN / 4;
          T* const before_step = states[slot_before(i, count)];
          float from_input = 0, from_decay = 0;  // sums over n of lambda B, decay e
#pragma unroll
          for (int piece = 0; piece < kPieces<T>; piece++) {
            constexpr int kEach = kVector<T>;
            float before[kEach], lambda[kEach];  // before: h before this step
            T* const here = piece_of(before_step, me.lane, piece);
            load_vector(here, before);
#pragma unroll
            for (int j = 0; j < kEach; j += 4) {
              const float4 b4 = B[(piece * kEach + j) / 4], c4 = C[(piece * kEach + j) / 4];
              const float b[4] = {b4.x, b4.y, b4.z, b4.w}, c[4] = {c4.x, c4.y, c4.z, c4.w};
#pragma unroll
              for (int k = 0; k < 4; k++) {
                const int n = piece * kEach + j + k;
                lambda[j + k] = fmaf(dy, c[k], adjoint[n]);
                adjoint[n] = exp2_approx(time * decay[n]) * lambda[j + k];
                const float e = adjoint[n] * before[j + k];
                dA[n] = fmaf(dt, e, dA[n]);
                from_input = fmaf(lambda[j + k], b[k], from_input);
                from_decay = fmaf(decay[n], e, from_decay);
              }
            }
            keep(here, lambda);
          }
          from_input = me.sum_states(from_input);
          from_decay = me.sum_states(from_decay);
          const float u = to_float(shared.u[at]), delta = to_float(shared.delta[at]);
          const float gate = a.gate != nullptr ? to_float(shared.gate[at]) : 1.0f;
          const float p = fmaf(delta, gate, bias);
          // from_decay is in units of log2: decay = A log2(e).
          const float ddt = fmaf(u, from_input, from_decay * (1.0f / kLog2E));
          const float dp = p > 20.0f ? ddt : ddt * scan_sigmoid(p);
          dD = fmaf(dy, u, dD);
          dbias += dp;
          du(i, fmaf(D, dy, dt * from_input));
          ddelta(i, dp * gate);
          dgate(i, dp * delta);
        }

        __syncthreads();
        sum_channels<true>(a, partial, shared, shared.z, count, pass > 0);
        __syncthreads();  // the next chunk may overwrite everything
      }
      me.store_state(a.dinitial, adjoint, a.dinitial_add);
    }
    float* const partial =
        static_cast<float*>(a.partial_param) + share * (a.N + 2) * a.channels + me.d;
#pragma unroll
    for (int j = 0; j < kScanStates; j++) {
      if (j < me.states) partial[(me.n + j) * a.channels] = dA[j];
    }
    if (stores) {
      partial[a.N * a.channels] = dD;
      partial[(a.N + 1) * a.channels] = dbias;
    }
  }
}

// ---- the last sums ------------------------------------------------------------------------------------

/// dB and dC: the groups' shares in order. 8 rows a block, a warp along a row.
template <class T>
__global__ void __launch_bounds__(256) sum_groups(const __grid_constant__ ScanArgs a) {
  const std::int64_t rows = a.batch * a.T, row = std::int64_t(blockIdx.x) * 8 + threadIdx.y;
  if (row >= rows) return;
  for (std::int64_t i = threadIdx.x; i < 2 * a.N; i += 32) {
    const bool is_C = i >= a.N;
    void* const out = is_C ? a.dC : a.dB;
    if (out == nullptr) continue;
    const float* from = static_cast<const float*>(a.partial_bc) + row * 2 * a.N + i;
    float sum = 0;
#pragma unroll 4
    for (std::int64_t group = 0; group < a.groups; group++) {
      sum += from[group * rows * 2 * a.N];
    }
    put(static_cast<T*>(out) + (is_C ? row * a.dC_stride + i - a.N : row * a.dB_stride + i), sum,
        is_C ? a.dC_add : a.dB_add);
  }
}

/// dA_log = dA A, dD and dbias: a block sums one quantity of 32 channels, eight runs of shares side by
/// side.
__global__ void __launch_bounds__(256) sum_shares(const __grid_constant__ ScanArgs a) {
  __shared__ float runs[8][32];
  const std::int64_t d = std::int64_t(blockIdx.x) * 32 + threadIdx.x, n = blockIdx.y;
  void* const out = n < a.N ? a.dA_log : n == a.N ? a.dD : a.dbias;
  if (out == nullptr) return;
  float sum = 0;
  if (d < a.channels) {
    const float* from = static_cast<const float*>(a.partial_param) + n * a.channels + d;
#pragma unroll 4
    for (std::int64_t share = threadIdx.y; share < a.shares; share += 8) {
      sum += from[share * (a.N + 2) * a.channels];
    }
  }
  runs[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || d >= a.channels) return;
  float total = 0;
#pragma unroll
  for (int i = 0; i < 8; i++) {
    total += runs[i][threadIdx.x];
  }
  if (n < a.N) {
    const float rate = -expf(static_cast<const float*>(a.A_log)[d * a.N + n]);
    put(static_cast<float*>(out) + d * a.N + n, total * rate, a.dA_log_add);
  } else {
    put(static_cast<float*>(out) + d, total, n == a.N ? a.dD_add : a.dbias_add);
  }
}

}  // namespace

void selective_scan_backward(const ScanArgs& a) {
  if (a.batch == 0 || a.channels == 0) return;
  const dim3 threads(32, 8);
  if (!scan_backward_on_tensor_cores(a)) {
    with_scan_instance(a, "selective_scan_backward", [&]<class T, int kLanes>() {
      using Shared = BackwardShared<T, kLanes>;
      const auto bytes =
          static_cast<int>(a.gate != nullptr ? sizeof(Shared) : __builtin_offsetof(Shared, gate));
      cudaFuncSetAttribute(scan_backward<T, kLanes>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           bytes);
      scan_backward<T, kLanes>
          <<<static_cast<unsigned>(a.shares * a.groups), kScanThreads, bytes, stream()>>>(
              a, passes_of(a, ScanBlock<T, kLanes>::kChannels));
      launched("selective_scan_backward");
    });
  }
  if (a.T > 0) {
    with_device_type(a.type, "selective_scan_backward", [&]<class T>() {
      sum_groups<T>
          <<<static_cast<unsigned>(blocks_for(a.batch * a.T, 8)), threads, 0, stream()>>>(a);
    });
    launched("selective_scan_backward, dB and dC");
  }
  const dim3 columns(static_cast<unsigned>(blocks_for(a.channels, 32)),
                     static_cast<unsigned>(a.N + 2));
  sum_shares<<<columns, threads, 0, stream()>>>(a);
  launched("selective_scan_backward, dA, dD and dbias");
}

}  // namespace farsight::cuda
