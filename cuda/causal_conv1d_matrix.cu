// Long kernels of up to 128 taps on the tensor cores, bf16, rows of one sequence each: a causal
// convolution is a product with a Toeplitz matrix, cut into blocks of 16 x 16 by time,
//
//   out_p = sum_{i <= 8} W_i in_{p-i}      W_i[r, c] = w[16 i + r - c]
//
// for every channel, with eight columns side by side as the product's N. A block W_i depends on
// r - c only, so that the fragments of all nine are 17 registers: a warp keeps them for two channels,
// together with the last nine blocks of its input. A block of threads has 32 channels of 8 columns
// and walks along time: 32 steps are fetched while the 32 before are multiplied. dx is the same with
// time reversed and c = dy silu'(pre) for input.
//
// Operands are bf16 (x, c and w too), sums f32. Floor: forward 2 B T D elements (3 with pre), dx 3:
// 0.13 and 0.2 ms at 65,536 x 1536. The products take 0.05 ms.
#include "cuda/causal_conv1d_matrix.cuh"

namespace farsight::cuda {
namespace {

constexpr int kPlanes = 16;  // pairs of channels of a block, one a warp
constexpr int kChannels = 2 * kPlanes;

/// The fragments of W_0..W_8 of one channel. Entry j holds, for lane (g, q), the taps 8 j + g - 2 q
/// and the one before: W_i is made of the entries 2 i (twice), 2 i + 1 and 2 i - 1.
struct Toeplitz {
  unsigned entry[2 * kDiagonals - 1];

  __device__ Toeplitz(const Conv1dArgs& a, std::int64_t d) {
    const int first = int(threadIdx.x % 32 / 4) - 2 * int(threadIdx.x % 4);
    const float* w = static_cast<const float*>(a.w) + d * a.K + a.K - 1;  // w[-i]: tap i
    const auto tap = [&](int i) { return d < a.D && i >= 0 && i < a.K ? w[-i] : 0.0f; };
#pragma unroll
    for (int j = 0; j < 2 * kDiagonals - 1; j++) {
      entry[j] = pack(tap(8 * j + first), tap(8 * j + first - 1));
    }
  }
  __device__ unsigned at(int j) const {
    return j < 0 || j > 2 * kDiagonals - 2 ? 0u : entry[j < 0 || j > 2 * kDiagonals - 2 ? 0 : j];
  }
  __device__ void add_product(float (&sum)[4], int diagonal, const unsigned (&in)[2]) const {
    const unsigned block[4] = {at(2 * diagonal), at(2 * diagonal + 1), at(2 * diagonal - 1),
                               at(2 * diagonal)};
    multiply_add(sum, block, in[0], in[1]);
  }
};

/// One block of time of a warp's plane: reads in_p, moves the window on, writes out_p over it.
__device__ inline void multiply_block(unsigned* plane, const Toeplitz& first,
                                      const Toeplitz& second,
                                      unsigned (&window)[2][kDiagonals][2]) {
  const int g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
#pragma unroll
  for (int i = kDiagonals - 1; i > 0; i--) {
#pragma unroll
    for (int k = 0; k < 4; k++) {
      window[k / 2][i][k % 2] = window[k / 2][i - 1][k % 2];
    }
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {  // times 0..7 and 8..15
    const unsigned even = plane[in_plane(half * 8 + 2 * q, g)];
    const unsigned odd = plane[in_plane(half * 8 + 2 * q + 1, g)];
    window[0][0][half] = of_channel(even, odd, 0);
    window[1][0][half] = of_channel(even, odd, 1);
  }
  float sum[2][4] = {};
#pragma unroll
  for (int i = 0; i < kDiagonals; i++) {
    first.add_product(sum[0], i, window[0][i]);
    second.add_product(sum[1], i, window[1][i]);
  }
  __syncwarp();  // the whole block has been read
#pragma unroll
  for (int half = 0; half < 2; half++) {
    *reinterpret_cast<uint2*>(plane + in_plane(half * 8 + g, 2 * q)) = {
        pack(sum[0][2 * half], sum[1][2 * half]), pack(sum[0][2 * half + 1], sum[1][2 * half + 1])};
  }
}

/// Eight channels of the result to where they belong.
template <bool kForward>
__device__ inline void finish(const Conv1dArgs& a, std::int64_t b, int t, std::int64_t d,
                              const uint4& raw) {
  const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
  float x[8];
#pragma unroll
  for (int k = 0; k < 4; k++) {
    x[2 * k] = low_of(words[k]);
    x[2 * k + 1] = high_of(words[k]);
  }
  if constexpr (kForward) {
    float bias[8];
    load_elements<8>(static_cast<const float*>(a.bias) + d, bias);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      x[k] += bias[k];
    }
    const std::int64_t at = (b * a.T + t) * a.D + d;
    if (a.pre != nullptr) store_elements<8>(static_cast<bf16*>(a.pre) + at, x);
#pragma unroll
    for (int k = 0; k < 8; k++) {
      x[k] = a.silu ? silu(x[k]) : x[k];
    }
    store_elements<8>(static_cast<bf16*>(a.y) + at, x);
  } else {
    put_input_gradient<8, bf16>(a, b, t, d, x);
  }
}

/// Pieces of a thread and stage: two times of x, or of dy and pre.
template <bool kForward>
inline constexpr int kPieces = kForward ? 2 : 4;
template <bool kForward>
inline constexpr int kSharedBytes = int(sizeof(unsigned)) * 2 * kPlanes* kPlane +
                                    16 * kAhead* kPieces<kForward>* kMatrixThreads;

template <bool kForward>
__global__ void __launch_bounds__(kMatrixThreads)
    toeplitz(const __grid_constant__ Conv1dArgs a, const __grid_constant__ Columns cut) {
  extern __shared__ uint4 shared[];
  uint4* const ahead = shared + threadIdx.x;
  unsigned* const planes =
      reinterpret_cast<unsigned*>(shared + kAhead * kPieces<kForward> * kMatrixThreads);
  const int warp = threadIdx.x / 32;
  const int channel = int(blockIdx.x % cut.channel_blocks) * kChannels;

  // Between global and shared memory a thread passes eight channels of a (time, column), twice.
  const int piece = threadIdx.x % 4, place = threadIdx.x / 4 % kColumns;
  const int d = channel + piece * 8;
  const Column column(cut, int(blockIdx.x / cut.channel_blocks) * kColumns + place);
  const int own_step = column.segment + warp;  // of the first passage
  const auto time_of = [&](int step) { return kForward ? step : int(a.T) - 1 - step; };
  const auto place_of = [&](int half) {
    return piece * 4 * kPlane + in_plane(warp + half * kBlock, place);
  };
  const auto slot = [&](int buffer, int which) {
    return ahead + (buffer * kPieces<kForward> + which) * kMatrixThreads;
  };
  const auto fetch = [&](int step, int buffer) {
    if (step < cut.length) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int t = time_of(own_step + step + half * kBlock);
        if constexpr (kForward) {
          copy_x(slot(buffer, half), a, column.b, t, d);
        } else {
          copy_row(slot(buffer, half), a, a.dy, column.b, t, d);
          if (a.silu) copy_row(slot(buffer, 2 + half), a, a.pre, column.b, t, d);
        }
      }
    }
    end_stage();
  };
  // Before its own steps a column needs the kMatrixTaps before them, where there are any.
  const bool warms_up = cut.segments > 1 || (kForward && a.history != nullptr);
  const int begin = warms_up ? -kMatrixTaps : 0;
  fetch(begin, 0);
  fetch(begin + kSteps, 1);

  const int mine = channel + 2 * warp;
  const Toeplitz first(a, mine), second(a, mine + 1);
  unsigned window[2][kDiagonals][2] = {};
#pragma unroll 1
  for (int step = begin; step < cut.length; step += kSteps) {
    const int buffer = step / kSteps & 1;
    unsigned* here = planes + buffer * kPlanes * kPlane;
    await_stages<kAhead - 1>();
#pragma unroll
    for (int half = 0; half < 2; half++) {
      uint4 in = *slot(buffer, half);
      if (!kForward && a.silu) in = gradient_of(in, *slot(buffer, 2 + half));
      store_planes(here, place_of(half), in);
    }
    __syncthreads();
    fetch(step + kAhead * kSteps, buffer);  // its slots have just been read
#pragma unroll 1                            // both at once need more registers than there are
    for (int half = 0; half < 2; half++) {
      multiply_block(here + warp * kPlane + half * kBlock * kColumns, first, second, window);
    }
    __syncthreads();
    // The other planes are filled next: whoever is late here has until the barrier after that.
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int own = own_step + step + half * kBlock;
      if (step >= 0 && own < cut.steps && column.b < a.B && d < a.D) {
        finish<kForward>(a, column.b, time_of(own), d, load_planes(here, place_of(half)));
      }
    }
  }
}

template <bool kForward>
void multiply(const Conv1dArgs& a, const Columns& cut, const char* kernel) {
  constexpr int kBytes = kSharedBytes<kForward>;
  succeeded(
      cudaFuncSetAttribute(toeplitz<kForward>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
      "cudaFuncSetAttribute");
  const unsigned blocks = unsigned(cut.groups) * cut.channel_blocks;
  toeplitz<kForward><<<blocks, kMatrixThreads, kBytes, stream()>>>(a, cut);
  launched(kernel);
}

}  // namespace

bool suits_matrix(const Conv1dArgs& a) {
  return a.type == DType::bf16 && a.K <= kMatrixTaps && a.position == nullptr && a.D % 8 == 0 &&
         a.dx_stride % 8 == 0 && !(a.silu && a.dy != nullptr && a.pre == nullptr) &&
         moves_together<4, float>(4, a.bias) &&
         moves_together<8, bf16>(a.x_stride, a.x, a.y, a.history, a.dy, a.pre, a.dx, a.dhistory);
}

void matrix_conv1d_forward(const Conv1dArgs& a) {
  multiply<true>(a, Columns(a.B, a.T, a.D, kChannels), "causal_conv1d_forward");
}

void matrix_conv1d_dx(const Conv1dArgs& a) {
  const std::int64_t reached = a.dhistory != nullptr ? a.K - 1 : 0;
  multiply<false>(a, Columns(a.B, a.T + reached, a.D, kChannels), "causal_conv1d_backward, dx");
}

}  // namespace farsight::cuda
