// Selective scan, forward, for any type and sizes. Layout [B, T, channels]: consecutive lanes own
// consecutive channels.
//
// Time runs inside a thread, so nothing is exchanged between threads but B and C, which all channels of
// a block read from shared memory as broadcast vectors of four, a chunk at a time.
#include "cuda/selective_scan.cuh"

namespace farsight::cuda {
namespace {

template <class T, int kLanes>
struct ForwardShared {
  using Block = ScanBlock<T, kLanes>;
  alignas(16) T u[Block::kStaged];
  T delta[Block::kStaged], z[Block::kStaged];
  alignas(16) float selection[Block::kSelection];  // [step][B, C][kN]
  int position[kSteps];
  alignas(16) T gate[Block::kStaged];  // last: left out of the allocation when there is no gate
};
template <class T, int kLanes>
__host__ __device__ constexpr int forward_bytes(bool gate) {
  using Shared = ForwardShared<T, kLanes>;
  return static_cast<int>(gate ? sizeof(Shared) : __builtin_offsetof(Shared, gate));
}

template <class T, int kLanes>
__device__ inline void stage(const ScanArgs& a, const ScanThread<T, kLanes>& me,
                             ForwardShared<T, kLanes>& to, std::int64_t first, int count) {
  const auto rows = [&](T* here, const void* from, std::int64_t stride) {
    stage_rows<T, kLanes>(here, from, stride, first, count, me.first_channel, me.channels);
  };
  rows(to.u, a.u, a.u_stride);
  rows(to.delta, a.delta, a.delta_stride);
  if (a.z != nullptr) rows(to.z, a.z, a.z_stride);
  if (a.gate != nullptr) rows(to.gate, a.gate, a.gate_stride);
  if (a.position != nullptr && static_cast<int>(threadIdx.x) < count) {
    to.position[threadIdx.x] = a.position[first + threadIdx.x];
  }
}

template <class T, int kLanes>
__global__ void __launch_bounds__(kScanThreads, 3)
    scan_forward(const __grid_constant__ ScanArgs a) {
  using Block = ScanBlock<T, kLanes>;
  using Shared = ForwardShared<T, kLanes>;
  extern __shared__ uint4 shared[];
  const int bytes = forward_bytes<T, kLanes>(a.gate != nullptr);
  const auto buffer = [&](int chunk) -> Shared& {
    return *reinterpret_cast<Shared*>(reinterpret_cast<char*>(shared) + (chunk % 2 ? bytes : 0));
  };
  const int channel_blocks = static_cast<int>(gridDim.x / static_cast<unsigned>(a.batch));
  const int block = static_cast<int>(blockIdx.x);
  const ScanThread<T, kLanes> me(a, block / channel_blocks, block % channel_blocks);
  const std::int64_t row = me.b * a.T;
  const int T_steps = static_cast<int>(a.T), chunks = static_cast<int>(a.chunks);
  const auto steps_of = [&](int chunk) { return min(kSteps, T_steps - chunk * kSteps); };

  float decay[kScanStates], h[kScanStates];
  me.load_decay(a, decay);
  me.load_state(a.initial_state, h);
  const float D = me.parameter(a.D), bias = me.parameter(a.bias);
  T* y_to = static_cast<T*>(a.y) + row * a.channels + me.d;
  Selection<T, kLanes> ahead;
  if (chunks > 0) {
    stage<T, kLanes>(a, me, buffer(0), row, steps_of(0));
    ahead.load(a, row, steps_of(0));
  }

  for (int chunk = 0; chunk < chunks; chunk++) {
    const std::int64_t first = row + chunk * kSteps;
    const int count = steps_of(chunk);
    Shared& now = buffer(chunk);
    ahead.store(a, first, count, now.selection);
    __syncthreads();  // the chunk is here, and nobody reads the other buffer any more
    if (chunk + 1 < chunks) {
      stage<T, kLanes>(a, me, buffer(chunk + 1), first + kSteps, steps_of(chunk + 1));
      ahead.load(a, first + kSteps, steps_of(chunk + 1));
    }
    me.store_checkpoint(a, chunk, h);

#pragma unroll 1  // more blocks gain more than two steps at once
    for (int i = 0; i < count; i++) {
      const int at = i * Block::kChannels + me.column;
      const float u = to_float(now.u[at]);
      float p = to_float(now.delta[at]);
      if (a.gate != nullptr) p *= to_float(now.gate[at]);
      const float dt = scan_softplus(p + bias);
      const float input = dt * u;
      const bool starts = a.position != nullptr && now.position[i] == 0;
      const float time = starts ? kLongTime : dt;
      const float4* B = reinterpret_cast<const float4*>(now.selection + i * 2 * Block::kN + me.n);
      const float4* C = B + Block::kN / 4;
      float y = advance(h, decay, time, input, B, C);
      y = fmaf(D, u, me.sum_states(y));
      if (a.z != nullptr) {
        const float z = to_float(now.z[at]);
        y *= z * scan_sigmoid(z);
      }
      if (me.valid && me.part == 0) *y_to = from_float<T>(y);
      y_to += me.channels;
    }
  }
  me.store_state(a.last_state, h, false);
}

}  // namespace

void selective_scan_forward(const ScanArgs& a) {
  if (a.batch == 0 || a.channels == 0) return;
  if (scan_on_tensor_cores(a)) return scan_forward_on_tensor_cores(a);
  with_scan_instance(a, "selective_scan_forward", [&]<class T, int kLanes>() {
    const int bytes = 2 * forward_bytes<T, kLanes>(a.gate != nullptr);
    const auto blocks = a.batch * blocks_for(a.channels, ScanBlock<T, kLanes>::kChannels);
    cudaFuncSetAttribute(scan_forward<T, kLanes>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         bytes);
    scan_forward<T, kLanes><<<static_cast<unsigned>(blocks), kScanThreads, bytes, stream()>>>(a);
    launched("selective_scan_forward");
  });
}

}  // namespace farsight::cuda
