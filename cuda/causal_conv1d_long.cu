// Long kernels of any K, any type, packed rows and histories: a direct convolution through shared
// memory. Lanes are channels; a warp has 16 neighbouring outputs of its 32 channels in registers and
// slides over the taps (kTaps at a time): a step costs one new input, one tap and 16 products.
//
//   forward    out[t] = sum_i w[i] x[t - i]        an output reaches back to its sequence's start
//   dx         out[s] = sum_i w[i] c[s + i]        the same with time reversed; c = dy silu'(pre)
//   dw         out[i] = sum_t c[t] x[t - i]        taps as outputs, c in the place of the taps
//
// What limits it is 2 B T D K products (13 G at 65,536 x 1536, K = 128: 0.45 ms at the peak of the
// f32 units); the bytes are K / kTile + 1 reads of x from L2. dw is left as partial[share, K + 1, D]
// and summed in order.
#include "cuda/causal_conv1d_matrix.cuh"

namespace farsight::cuda {
namespace {

constexpr int kLanes = 32;    // channels
constexpr int kWarps = 8;     // groups of outputs
constexpr int kOutputs = 16;  // of a thread
constexpr int kTile = kWarps * kOutputs;
constexpr int kTaps = 64;  // taps (or for dw: time steps) in shared memory at once
constexpr int kRows = kTile + kTaps - 1;
constexpr int kThreads = kLanes * kWarps;

/// `kTaps` steps: values come in at output 0 and move on to the next output with each step.
///   sums[r] += coefficient[q] * value[q - r],   value[q] = values[kStep * q]
/// `counts(q, r)` says which products exist.
template <int kStep, class Counts>
__device__ inline void slide(float (&sums)[kOutputs], const float* coefficients, int stride,
                             const float* values, const Counts& counts) {
  float window[kOutputs];  // value[q - r] stands in window[(r - q) mod 16]
#pragma unroll
  for (int r = 1; r < kOutputs; r++) {
    window[r] = values[-kStep * r * kLanes];
  }
#pragma unroll 1
  for (int q0 = 0; q0 < kTaps; q0 += kOutputs) {
#pragma unroll
    for (int q = 0; q < kOutputs; q++) {
      window[(kOutputs - q) % kOutputs] = values[kStep * (q0 + q) * kLanes];
      const float coefficient = coefficients[(q0 + q) * stride];
#pragma unroll
      for (int r = 0; r < kOutputs; r++) {
        if (counts(q0 + q, r)) sums[r] += coefficient * window[(r - q + kOutputs) % kOutputs];
      }
    }
  }
}

struct All {
  __device__ bool operator()(int, int) const { return true; }
};

/// c = dy silu'(pre) at a time of row b; zero outside.
template <class T>
__device__ inline float load_c(const Conv1dArgs& a, std::int64_t b, std::int64_t t,
                               std::int64_t d) {
  if (t < 0 || t >= a.T) return 0;
  const std::int64_t at = (b * a.T + t) * a.D + d;
  const float dy = to_float(static_cast<const T*>(a.dy)[at]);
  return a.silu ? dy * silu_derivative(to_float(static_cast<const T*>(a.pre)[at])) : dy;
}

template <class T>
__device__ inline float load_x(const Conv1dArgs& a, std::int64_t b, std::int64_t t,
                               std::int64_t d) {
  float x[1];
  load_input<1, T>(a, b, t, d, x);
  return x[0];
}

/// Taps that reach from `t` back to the start of its sequence (or ahead to its end), K - 1 at most.
__device__ inline int reach(const Conv1dArgs& a, std::int64_t b, std::int64_t t, bool ahead) {
  const int most = int(a.K) - 1;
  if (a.position == nullptr) return most;
  const std::int32_t* position = a.position + b * a.T;
  for (int i = 0; i < most; i++) {
    const std::int64_t start = ahead ? t + 1 + i : t - i;
    if (start >= 0 && start < a.T && position[start] == 0) return i;
  }
  return most;
}

/// Outputs of forward (kStep = 1) or dx (kStep = -1): output o of the tile is at origin + kStep o,
/// and a tap reaches kStep i away from there, against the order of the outputs.
template <class T, bool kForward>
__global__ void __launch_bounds__(kThreads, 2)
    long_conv(const __grid_constant__ Conv1dArgs a, unsigned column_blocks, unsigned tiles) {
  constexpr int kStep = kForward ? 1 : -1;
  __shared__ float values[kRows][kLanes];
  __shared__ float taps[kTaps][kLanes + 1];
  __shared__ int reaches[kTile];
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const std::int64_t d = std::int64_t(blockIdx.x % column_blocks) * kLanes + lane;
  const unsigned tile = blockIdx.x / column_blocks % tiles;
  const std::int64_t b = blockIdx.x / column_blocks / tiles;
  const std::int64_t origin =
      kForward ? std::int64_t(tile) * kTile : a.T - 1 - std::int64_t(tile) * kTile;
  const std::int64_t first = kForward || a.dhistory == nullptr ? 0 : 1 - a.K;
  const auto time_of = [&](int o) { return origin + kStep * o; };
  if (threadIdx.x < kTile) reaches[threadIdx.x] = reach(a, b, time_of(threadIdx.x), !kForward);

  const int o = warp * kOutputs;
  const bool wanted = kForward ? time_of(o) < a.T : time_of(o) >= first;

  float sums[kOutputs] = {};
  for (int i0 = 0; i0 < a.K; i0 += kTaps) {
    // The input nearest to the row's middle that these taps reach: is it outside already?
    const std::int64_t nearest = time_of(kTile - 1) - kStep * i0;
    if (kForward ? nearest < 0 && (a.history == nullptr || nearest <= -a.K) : nearest >= a.T) {
      break;  // the whole block
    }
    __syncthreads();
    for (int row = warp; row < kRows; row += kWarps) {  // row = output - tap + kTaps - 1
      const std::int64_t t = time_of(row - (kTaps - 1)) - kStep * i0;
      float value = 0;
      if (d < a.D) value = kForward ? load_x<T>(a, b, t, d) : load_c<T>(a, b, t, d);
      values[row][lane] = value;
    }
    // Taps lie along K in memory: here lanes run along them.
    for (int at = threadIdx.x; at < kTaps * kLanes; at += kThreads) {
      const int i = at % kTaps, channel = at / kTaps;
      const std::int64_t other = d - lane + channel;
      const bool there = i0 + i < a.K && other < a.D;
      taps[i][channel] =
          there ? static_cast<const float*>(a.w)[other * a.K + a.K - 1 - i0 - i] : 0.0f;
    }
    __syncthreads();
    if (!wanted) continue;
    const float* newest = &values[o + kTaps - 1][lane];
    if (a.position == nullptr && i0 + kTaps <= a.K) {
      slide<-1>(sums, &taps[0][lane], kLanes + 1, newest, All{});
    } else {
      int most[kOutputs];
#pragma unroll
      for (int r = 0; r < kOutputs; r++) {
        most[r] = reaches[o + r] - i0;
      }
      slide<-1>(sums, &taps[0][lane], kLanes + 1, newest,
                [&](int q, int r) { return q <= most[r]; });
    }
  }

  if (d >= a.D) return;
#pragma unroll
  for (int r = 0; r < kOutputs; r++) {
    const std::int64_t t = time_of(o + r);
    if (t < first || t >= a.T) continue;
    if constexpr (kForward) {
      const float m = sums[r] + static_cast<const float*>(a.bias)[d];
      const std::int64_t at = (b * a.T + t) * a.D + d;
      if (a.pre != nullptr) static_cast<T*>(a.pre)[at] = from_float<T>(m);
      static_cast<T*>(a.y)[at] = from_float<T>(a.silu ? silu(m) : m);
    } else {
      const float dx[1] = {sums[r]};
      put_input_gradient<1, T>(a, b, t, d, dx);
    }
  }
}

/// dw and dbias of one share of the (row, piece of kTaps steps) pairs; a block has kTile taps.
template <class T>
__global__ void __launch_bounds__(kThreads, 2)
    long_conv_dw(const __grid_constant__ Conv1dArgs a, unsigned column_blocks,
                 unsigned tap_blocks) {
  __shared__ float values[kRows][kLanes];  // row = (t - t0) - (i - i0) + kTile - 1
  __shared__ float c[kTaps][kLanes];
  __shared__ int reaches[kTaps];
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const std::int64_t d = std::int64_t(blockIdx.x % column_blocks) * kLanes + lane;
  const int i0 = int(blockIdx.x / column_blocks % tap_blocks) * kTile;
  const std::int64_t share = blockIdx.x / column_blocks / tap_blocks;
  const std::int64_t pieces = (a.T + kTaps - 1) / kTaps;
  const std::int64_t end = a.B * pieces * (share + 1) / a.shares;
  float sums[kOutputs] = {}, dbias = 0;
  for (std::int64_t piece = a.B * pieces * share / a.shares; piece < end; piece++) {
    const std::int64_t b = piece / pieces, t0 = piece % pieces * kTaps;
    __syncthreads();
    for (int row = warp; row < kRows; row += kWarps) {
      values[row][lane] = d < a.D ? load_x<T>(a, b, t0 - i0 + row - (kTile - 1), d) : 0.0f;
    }
    for (int row = warp; row < kTaps; row += kWarps) {
      c[row][lane] = d < a.D ? load_c<T>(a, b, t0 + row, d) : 0.0f;
    }
    if (a.position != nullptr && threadIdx.x < kTaps) {
      reaches[threadIdx.x] = reach(a, b, t0 + threadIdx.x, false);
    }
    __syncthreads();
    const int i = warp * kOutputs;
    const float* newest = &values[kTile - 1 - i][lane];
    if (a.position == nullptr) {
      slide<1>(sums, &c[0][lane], kLanes, newest, All{});
    } else {
      slide<1>(sums, &c[0][lane], kLanes, newest,
               [&](int q, int r) { return i0 + i + r <= reaches[q]; });
    }
    if (i0 == 0 && warp == 0) {
      for (int row = 0; row < kTaps; row++) {
        dbias += c[row][lane];
      }
    }
  }
  if (d >= a.D) return;
  float* partial = static_cast<float*>(a.partial) + share * (a.K + 1) * a.D + d;
#pragma unroll
  for (int r = 0; r < kOutputs; r++) {
    const std::int64_t i = i0 + warp * kOutputs + r;
    if (i < a.K) partial[(a.K - 1 - i) * a.D] = sums[r];
  }
  if (i0 == 0 && warp == 0) partial[a.K * a.D] = dbias;
}

/// Whether the tensor cores serve these arguments; ops/causal_conv1d.cpp decides the same.
bool suits_matrix(const Conv1dArgs& a) {
  return a.type == DType::bf16 && a.K <= kConv1dMatrixTaps &&
         (a.position == nullptr || a.plan != nullptr);
}

/// Calls f.template operator()<T>() and names the kernel to the launch check.
template <class F>
void with_input_type(const Conv1dArgs& a, const char* kernel, F f) {
  with_device_type(a.type, kernel, f);
  launched(kernel);
}

}  // namespace

void long_conv1d_forward(const Conv1dArgs& a) {
  if (suits_matrix(a)) return matrix_conv1d_forward(a);
  with_input_type(a, "causal_conv1d_forward", [&]<class T>() {
    const unsigned columns = blocks_for(a.D, kLanes), tiles = blocks_for(a.T, kTile);
    long_conv<T, true>
        <<<columns * tiles* unsigned(a.B), kThreads, 0, stream()>>>(a, columns, tiles);
  });
}

void long_conv1d_backward(const Conv1dArgs& a) {
  if (suits_matrix(a)) return matrix_conv1d_backward(a);
  if (a.silu && a.pre == nullptr) unsupported("causal_conv1d_backward", "silu without pre");
  const unsigned columns = blocks_for(a.D, kLanes);
  if (a.dx != nullptr || a.dhistory != nullptr) {
    with_input_type(a, "causal_conv1d_backward, dx", [&]<class T>() {
      const unsigned tiles = blocks_for(a.T + (a.dhistory != nullptr ? a.K - 1 : 0), kTile);
      long_conv<T, false>
          <<<columns * tiles* unsigned(a.B), kThreads, 0, stream()>>>(a, columns, tiles);
    });
  }
  if (a.dw != nullptr || a.dbias != nullptr) {
    with_input_type(a, "causal_conv1d_backward, dw", [&]<class T>() {
      const unsigned taps = blocks_for(a.K, kTile);
      long_conv_dw<T>
          <<<columns * taps* unsigned(a.shares), kThreads, 0, stream()>>>(a, columns, taps);
    });
  }
}

}  // namespace farsight::cuda
