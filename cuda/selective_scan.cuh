// The scan for any type and sizes: who owns which state, how a chunk of time comes into shared memory,
// and dt = softplus(p). What training uses runs on tensor cores instead (selective_scan_matrix.cuh).
//
// A block of 128 threads walks one sequence. A thread owns 16 states of one channel and keeps them,
// and their A, in registers; kLanes threads of the same warp share a channel when N > 16. States
// beyond N are padding: B = C = 0 keeps them zero.
#pragma once

#include "cuda/device.cuh"
#include "ops/selective_scan.h"

namespace farsight::cuda {

inline constexpr int kScanThreads = 128;
inline constexpr int kScanStates = 16;  // of a thread
inline constexpr int kSteps = static_cast<int>(kCudaScanChunk);
// exp(kLongTime A) = 0 for every A that exp(A_log) can give: stands for dt where a sequence starts.
inline constexpr float kLongTime = 3e38f;

template <class T, int kLanes>
struct ScanBlock {
  static constexpr int kWarpChannels = 32 / kLanes;
  static constexpr int kChannels = kScanThreads / kLanes;
  static constexpr int kN = kScanStates * kLanes;
  static constexpr int kStaged = kSteps * kChannels;  // elements of a staged activation
  static constexpr int kSelection = kSteps * 2 * kN;
};

/// This thread's place in its block.
template <class T, int kLanes>
struct ScanThread {
  using Block = ScanBlock<T, kLanes>;
  int warp, lane, part, column, n;  // column: the channel in the block; n: the first state
  int b, first_channel, d;
  bool valid;  // d is a channel
  int states;  // that exist
  int N, channels;

  __device__ ScanThread(const ScanArgs& a, int sequence, int channel_block) {
    warp = static_cast<int>(threadIdx.x) / 32;
    lane = static_cast<int>(threadIdx.x) % 32;
    part = lane / Block::kWarpChannels;
    column = warp * Block::kWarpChannels + lane % Block::kWarpChannels;
    n = part * kScanStates;
    b = sequence;
    first_channel = channel_block * Block::kChannels;
    d = first_channel + column;
    N = static_cast<int>(a.N);
    channels = static_cast<int>(a.channels);
    valid = d < channels;
    states = valid ? N - n : 0;
  }

  /// Where this thread's states are in a tensor [batch, channels, N].
  __device__ std::int64_t state_at() const { return (std::int64_t(b) * channels + d) * N + n; }
  __device__ float parameter(const void* from) const {
    return valid ? static_cast<const float*>(from)[d] : 0.0f;
  }
  /// A log2(e), so that exp(dt A) = 2^(dt decay).
  __device__ void load_decay(const ScanArgs& a, float (&decay)[kScanStates]) const {
#pragma unroll
    for (int j = 0; j < kScanStates; j++) {
      decay[j] =
          j < states
              ? -expf(static_cast<const float*>(a.A_log)[std::int64_t(d) * N + n + j]) * kLog2E
              : -1.0f;
    }
  }
  /// States are stored [batch, channels, N]; null: zeros.
  __device__ void load_state(const void* from, float (&h)[kScanStates]) const {
#pragma unroll
    for (int j = 0; j < kScanStates; j++) {
      h[j] = from != nullptr && j < states ? static_cast<const float*>(from)[state_at() + j] : 0.0f;
    }
  }
  __device__ void store_state(void* to, const float (&h)[kScanStates], bool add) const {
    if (to == nullptr) return;
#pragma unroll
    for (int j = 0; j < kScanStates; j++) {
      if (j < states) put(static_cast<float*>(to) + state_at() + j, h[j], add);
    }
  }
  /// The state before a chunk but the first is stored [batch, chunks - 1, N, channels].
  __device__ T* checkpoint(const ScanArgs& a, int chunk) const {
    const std::int64_t row = (b * (a.chunks - 1) + chunk - 1) * N + n;
    return static_cast<T*>(a.checkpoints) + row * channels + d;
  }
  __device__ void load_checkpoint(const ScanArgs& a, int chunk, float (&h)[kScanStates]) const {
    if (chunk == 0) return load_state(a.initial_state, h);
    const T* from = checkpoint(a, chunk);
#pragma unroll
    for (int j = 0; j < kScanStates; j++) {
      h[j] = j < states ? to_float(from[std::int64_t(j) * channels]) : 0.0f;
    }
  }
  __device__ void store_checkpoint(const ScanArgs& a, int chunk,
                                   const float (&h)[kScanStates]) const {
    if (a.checkpoints == nullptr || chunk == 0) return;
    T* to = checkpoint(a, chunk);
#pragma unroll
    for (int j = 0; j < kScanStates; j++) {
      if (j < states) to[std::int64_t(j) * channels] = from_float<T>(h[j]);
    }
  }
  /// Over the lanes of a channel; each gets the sum.
  __device__ static float sum_states(float x) {
#pragma unroll
    for (int offset = Block::kWarpChannels; offset < 32; offset *= 2) {
      x += __shfl_xor_sync(0xffffffffu, x, offset);
    }
    return x;
  }
};

// ---- a chunk into shared memory ------------------------------------------------------------------

/// Rows [first, first + count) of the block's channels; zeros for channels that do not exist and
/// for an absent tensor.
template <class T, int kLanes>
__device__ inline void stage_rows(T* to, const void* from, std::int64_t stride, std::int64_t first,
                                  int count, int first_channel, int channels) {
  using Block = ScanBlock<T, kLanes>;
  const int left = min(channels - first_channel, Block::kChannels);
  const T* rows = static_cast<const T*>(from) + first * stride + first_channel;
  for (int i = static_cast<int>(threadIdx.x); i < count * Block::kChannels; i += kScanThreads) {
    const int row = i / Block::kChannels, x = i % Block::kChannels;
    to[i] = from != nullptr && x < left ? rows[row * stride + x] : from_float<T>(0.0f);
  }
}

/// A chunk's selection [step][B, C][kN], zero beyond the chunk and beyond N: loaded, and stored in
/// shared memory later. With many states a chunk does not fit into registers: all is done in store.
template <class T, int kLanes>
struct Selection {
  using Block = ScanBlock<T, kLanes>;
  static constexpr int kAcross = 2 * Block::kN;
  static constexpr bool kWaits = kAcross <= kScanThreads;
  static constexpr int kAtOnce = kWaits ? kScanThreads / kAcross : 1;
  float values[kWaits ? (kSteps + kAtOnce - 1) / kAtOnce : 1];

  /// The column that starts at `first` (a row of B and C).
  struct Column {
    const T* from;
    int stride;
    bool inside;
    __device__ Column(const ScanArgs& a, std::int64_t first, int x) {
      const bool is_C = x >= Block::kN;
      stride = static_cast<int>(is_C ? a.C_stride : a.B_stride);
      from = static_cast<const T*>(is_C ? a.C : a.B) + first * stride + x % Block::kN;
      inside = x % Block::kN < a.N;
    }
  };
  __device__ void load(const ScanArgs& a, std::int64_t first, int count) {
    if constexpr (kWaits) {
      const int thread = static_cast<int>(threadIdx.x), row = thread / kAcross;
      const Column column(a, first + row, thread % kAcross);
#pragma unroll
      for (int i = 0; i < kSteps; i += kAtOnce) {
        values[i / kAtOnce] = column.inside && row + i < count
                                  ? to_float(column.from[std::int64_t(i) * column.stride])
                                  : 0.0f;
      }
    }
  }
  __device__ void store(const ScanArgs& a, std::int64_t first, int count, float* to) const {
    const int thread = static_cast<int>(threadIdx.x);
    if constexpr (kWaits) {
#pragma unroll
      for (int i = 0; i < kSteps; i += kAtOnce) {
        if (i + thread / kAcross < kSteps) to[i * kAcross + thread] = values[i / kAtOnce];
      }
    } else {
      for (int x = thread; x < kAcross; x += kScanThreads) {
        const Column column(a, first, x);
        for (int i = 0; i < kSteps; i++) {
          to[i * kAcross + x] = column.inside && i < count
                                    ? to_float(column.from[std::int64_t(i) * column.stride])
                                    : 0.0f;
        }
      }
    }
  }
};

// ---- one step ----------------------------------------------------------------------------------------

/// log(1 + e^x), which rounds to x for x > 20, with log(1 + y) = y P(y) on [0, 1] (interpolation in
/// Chebyshev nodes, relative error 2e-7 with rounding): log1pf costs three times as much, once a step.
__device__ inline float scan_softplus(float x) {
  const float y = exp2_approx(-fabsf(x) * kLog2E);
  float p = 5.12610214e-03f;
  p = fmaf(p, y, -2.90740647e-02f);
  p = fmaf(p, y, 7.75160867e-02f);
  p = fmaf(p, y, -1.36022476e-01f);
  p = fmaf(p, y, 1.90768807e-01f);
  p = fmaf(p, y, -2.48353990e-01f);
  p = fmaf(p, y, 3.33181217e-01f);
  p = fmaf(p, y, -4.99994450e-01f);
  p = fmaf(p, y, 9.99999966e-01f);
  return fmaf(p, y, fmaxf(x, 0.0f));
}
/// 1 / x by the special function unit, within 1 unit in the last place.
__device__ inline float reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ inline float scan_sigmoid(float x) {
  return reciprocal(1.0f + exp2_approx(-x * kLog2E));
}

/// One step of 16 states: h = 2^(time decay) h + input B. Returns the sum of C h over them.
__device__ inline float advance(float (&h)[kScanStates], const float (&decay)[kScanStates],
                                float time, float input, const float4* B, const float4* C) {
  float y[2] = {};
#pragma unroll
  for (int j = 0; j < kScanStates; j += 4) {
    const float4 b4 = B[j / 4], c4 = C[j / 4];
    const float b[4] = {b4.x, b4.y, b4.z, b4.w}, c[4] = {c4.x, c4.y, c4.z, c4.w};
#pragma unroll
    for (int k = 0; k < 4; k++) {
      h[j + k] = fmaf(exp2_approx(time * decay[j + k]), h[j + k], input * b[k]);
      y[k % 2] = fmaf(h[j + k], c[k], y[k % 2]);
    }
  }
  return y[0] + y[1];
}

// ---- the host side -----------------------------------------------------------------------------------

/// Rows of bf16 and at most 64 states: the kernels of selective_scan_matrix.cuh.
bool scan_on_tensor_cores(const ScanArgs& a);
void scan_forward_on_tensor_cores(const ScanArgs& a);
/// False, and nothing is launched, if the gradients' layout does not suit it either.
bool scan_backward_on_tensor_cores(const ScanArgs& a);

/// The backward sums dB and dC over groups of channels, dA, dD and dbias over shares of the batch. A
/// block has one of both: this many times the channels that it can own, one after the other.
inline int passes_of(const ScanArgs& a, std::int64_t block_channels) {
  return blocks_for(blocks_for(a.channels, a.groups), block_channels);
}

/// Calls f.template operator()<T, kLanes>() with 16 kLanes >= N.
template <class F>
void with_scan_instance(const ScanArgs& a, const char* kernel, F f) {
  with_device_type(a.type, kernel, [&]<class T>() {
    if (a.N <= 16) {
      f.template operator()<T, 1>();
    } else if (a.N <= 32) {
      f.template operator()<T, 2>();
    } else if (a.N <= 64) {
      f.template operator()<T, 4>();
    } else if (a.N <= 128) {
      f.template operator()<T, 8>();
    } else if (a.N <= 256) {
      f.template operator()<T, 16>();
    } else if (a.N <= 512) {
      f.template operator()<T, 32>();
    } else {
      unsupported(kernel, "N above 512");
    }
  });
}

}  // namespace farsight::cuda
