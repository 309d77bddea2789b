// Any sizes and types: the correlation out[i] = sum_s p[i + s] q[s] of long_conv.h by f32 products, and
// what the tensor core kernels do not do themselves: the sum of the shares of dk, and generation.
//
// A block has 32 channels side by side, a lane each, and 64 outputs, eight a warp. Chunk by chunk of 32
// products, p and q come to shared memory; a thread holds the 15 values of p that eight outputs and
// eight products touch. Limited by f32 arithmetic: B D T^2 / 2 products.
#include "cuda/long_conv.cuh"
#include "cuda/long_conv_elements.cuh"

namespace farsight::cuda {
namespace {

constexpr int kLanes = 32, kWarps = 8, kThreads = kLanes * kWarps;
constexpr int kOutputs = 8, kTile = kOutputs * kWarps, kChunk = 32;

template <class T, Sum kSum>
__device__ inline float load_p(const LongConvArgs& a, std::int64_t b, std::int64_t i,
                               std::int64_t d) {
  if (i >= a.T || d >= a.D) return 0;
  return kSum == Sum::forward ? w_at<T>(a, b, a.T - 1 - i, d) : dm_at<T>(a, b, i, d);
}
template <class T, Sum kSum>
__device__ inline float load_q(const LongConvArgs& a, std::int64_t b, std::int64_t s,
                               std::int64_t d) {
  if (d >= a.D) return 0;
  if (kSum == Sum::taps) return s < a.T ? w_at<T>(a, b, s, d) : 0.0f;
  return s < reached_taps(a) ? static_cast<const float*>(a.k)[s * a.D + d] : 0.0f;
}

/// A block: 32 channels, kTile outputs, of one row or of a share of them.
template <class T, Sum kSum>
__global__ void __launch_bounds__(kThreads, 3)
    correlate(const __grid_constant__ LongConvArgs a, unsigned column_blocks, unsigned tiles) {
  __shared__ float p[kTile + kChunk][kLanes], q[kChunk][kLanes];
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const std::int64_t d = std::int64_t(blockIdx.x % column_blocks) * kLanes + lane;
  const std::int64_t i0 = std::int64_t(blockIdx.x / column_blocks % tiles) * kTile;
  const std::int64_t part = blockIdx.x / column_blocks / tiles;
  const bool shared_out = kSum == Sum::taps;
  const std::int64_t begin = shared_out ? a.B * part / a.shares : part;
  const std::int64_t end = shared_out ? a.B * (part + 1) / a.shares : part + 1;
  const std::int64_t products = kSum == Sum::taps ? a.T : reached_taps(a);
  float sum[kOutputs] = {};
  for (std::int64_t b = begin; b < end; b++) {
    for (std::int64_t s0 = 0; s0 < products && i0 + s0 < a.T; s0 += kChunk) {
      __syncthreads();  // the chunk before has been read
      for (int row = warp; row < kTile + kChunk; row += kWarps) {
        p[row][lane] = load_p<T, kSum>(a, b, i0 + s0 + row, d);
      }
      for (int row = warp; row < kChunk; row += kWarps) {
        q[row][lane] = load_q<T, kSum>(a, b, s0 + row, d);
      }
      __syncthreads();
      const float* const own = &p[warp * kOutputs][lane];
#pragma unroll 1
      for (int s = 0; s < kChunk; s += kOutputs) {
        float values[2 * kOutputs - 1];
#pragma unroll
        for (int r = 0; r < 2 * kOutputs - 1; r++) {
          values[r] = own[(s + r) * kLanes];
        }
#pragma unroll
        for (int j = 0; j < kOutputs; j++) {
          const float other = q[s + j][lane];
#pragma unroll
          for (int r = 0; r < kOutputs; r++) {
            sum[r] += values[r + j] * other;
          }
        }
      }
    }
  }
  if (d >= a.D) return;
#pragma unroll
  for (int r = 0; r < kOutputs; r++) {
    finish<T, kSum>(a, part, i0 + warp * kOutputs + r, d, sum[r]);
  }
}

template <Sum kSum>
void launch(const LongConvArgs& a, const char* kernel) {
  with_device_type(a.type, kernel, [&]<class T>() {
    const unsigned columns = unsigned(blocks_for(a.D, kLanes));
    const std::int64_t outputs = kSum == Sum::taps ? reached_taps(a) : a.T;
    const std::int64_t parts = kSum == Sum::taps ? a.shares : a.B;
    const unsigned tiles = unsigned(blocks_for(outputs, kTile));
    correlate<T, kSum>
        <<<columns * tiles* unsigned(parts), kThreads, 0, stream()>>>(a, columns, tiles);
  });
  launched(kernel);
}

/// dk from its shares, in their order, and dbias, which is dk[0]; a thread an element of dk.
__global__ void __launch_bounds__(kThreads) add_shares(const __grid_constant__ LongConvArgs a) {
  const std::int64_t element = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  const std::int64_t count = a.B > 0 ? reached_taps(a) * a.D : 0;
  if (element >= a.K * a.D) return;
  float sum = 0;
  if (element < count) {
    const float* partial = static_cast<const float*>(a.partial) + element;
#pragma unroll 4
    for (std::int64_t share = 0; share < a.shares; share++) {
      sum += partial[share * count];
    }
  }
  if (a.dk != nullptr) put(static_cast<float*>(a.dk) + element, sum, a.dk_add);
  if (a.dbias != nullptr && element < a.D) {
    put(static_cast<float*>(a.dbias) + element, sum, a.dbias_add);
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) append(const __grid_constant__ LongConvArgs a) {
  const std::int64_t place = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (place >= a.B * a.T * a.D) return;
  const std::int64_t d = place % a.D, t = place / a.D % a.T, b = place / a.D / a.T;
  static_cast<T*>(a.cache)[(b * a.capacity + a.first + t) * a.D + d] =
      from_float<T>(w_at<T>(a, b, t, d));
}

/// A thread a channel of a new token: neighbours read side by side.
template <class T>
__global__ void __launch_bounds__(kThreads) look_back(const __grid_constant__ LongConvArgs a) {
  const std::int64_t place = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (place >= a.B * a.T * a.D) return;
  const std::int64_t d = place % a.D, t = place / a.D % a.T, b = place / a.D / a.T;
  const std::int64_t now = a.first + t;
  const T* w = static_cast<const T*>(a.cache) + (b * a.capacity + now) * a.D + d;
  const float* k = static_cast<const float*>(a.k) + d;
  float m = static_cast<const float*>(a.bias)[d] * to_float(*w);
#pragma unroll 4
  for (std::int64_t l = 0; l <= now && l < a.K; l++) {
    m += k[l * a.D] * to_float(w[-l * a.D]);
  }
  static_cast<T*>(a.y)[place] = from_float<T>(m * at<T>(a.post, a, a.post_stride, b, t, d));
}

void inputs(const LongConvArgs& a) {
  if (suits_matrix(a)) return matrix_long_conv_inputs(a);
  if (a.fourier != nullptr) return fourier_long_conv_inputs(a);
  launch<Sum::inputs>(a, "long_conv_backward, inputs");
}

void taps(const LongConvArgs& a) {
  if (suits_matrix(a)) return matrix_long_conv_taps(a);
  if (a.fourier != nullptr) return fourier_long_conv_taps(a);
  launch<Sum::taps>(a, "long_conv_backward, taps");
}

}  // namespace

void long_conv_forward(const LongConvArgs& a) {
  if (a.B * a.T * a.D == 0) return;
  if (suits_matrix(a)) return matrix_long_conv_forward(a);
  if (a.fourier != nullptr) return fourier_long_conv_forward(a);
  launch<Sum::forward>(a, "long_conv_forward");
}

void long_conv_backward(const LongConvArgs& a) {
  if (a.D == 0) return;
  const bool tokens = a.B * a.T > 0;
  if (tokens && (a.dv != nullptr || a.dpre != nullptr || a.dpost != nullptr)) inputs(a);
  if (a.dk == nullptr && a.dbias == nullptr) return;
  if (tokens) taps(a);
  add_shares<<<blocks_for(a.K * a.D, kThreads), kThreads, 0, stream()>>>(a);
  launched("long_conv_backward, shares");
}

void long_conv_step(const LongConvArgs& a) {
  if (a.B * a.T * a.D == 0) return;
  with_device_type(a.type, "long_conv_step", [&]<class T>() {
    const int blocks = blocks_for(a.B * a.T * a.D, kThreads);
    append<T><<<blocks, kThreads, 0, stream()>>>(a);
    launched("long_conv_step, append");
    look_back<T><<<blocks, kThreads, 0, stream()>>>(a);
    launched("long_conv_step");
  });
}

}  // namespace farsight::cuda
