// dw and dbias of a long kernel of up to 128 taps on the tensor cores (see causal_conv1d_matrix.cu).
// Between blocks of 16 steps, c and x of the same channel,
//
//   dw[16 i + r - s] += G_i[r, s],   G_i = sum over p and columns of c_p x_{p-i}^T
//
// The columns and two neighbouring p are the product's K of 16. A warp has one channel: G_0..G_8 stay
// in 72 registers a lane while it walks along time and from group to group of its share; at the end
// their diagonals are summed, in order, into partial[share]. 0.05 ms of products at 65,536 x 1536;
// floor: x, dy and pre read once, 0.2 ms.
#include "cuda/causal_conv1d_matrix.cuh"

namespace farsight::cuda {
namespace {

constexpr int kPlanes = 8;
constexpr int kChannels = 2 * kPlanes;               // of a block, one a warp
constexpr int kEdge = kBlock + 1;                    // of a G in shared memory, padded
constexpr int kLags = kDiagonals * kBlock + kBlock;  // from -16 on
constexpr int kScratch = kBlock * kEdge + kLags;

/// The operand (lane's time, pair of columns) of one channel of a plane, for times 0..7 and 8..15.
__device__ inline void load_operand(const unsigned* plane, int channel, unsigned (&x)[2]) {
  const int g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const uint2 pair = *reinterpret_cast<const uint2*>(plane + in_plane(half * 8 + g, 2 * q));
    x[half] = of_channel(pair.x, pair.y, channel);
  }
}

/// lags[16 + lag] = sum over the entries of all G with that lag, by one warp.
__device__ inline void sum_diagonals(const float (&G)[kDiagonals][2][4], float* scratch) {
  const int lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  float* lags = scratch + kBlock * kEdge;
  for (int at = lane; at < kLags; at += 32) {
    lags[at] = 0;
  }
#pragma unroll
  for (int i = 0; i < kDiagonals; i++) {
    __syncwarp();
#pragma unroll
    for (int k = 0; k < 8; k++) {
      const int row = g + (k % 4) / 2 * 8, column = k / 4 * 8 + 2 * q + k % 2;
      scratch[row * kEdge + column] = G[i][k / 4][k % 4];
    }
    __syncwarp();
    const int offset = lane - (kBlock - 1);  // row - column: -15..15
    float sum = 0;
    for (int row = max(0, offset); row < min(kBlock, kBlock + offset); row++) {
      sum += scratch[row * kEdge + row - offset];
    }
    if (lane < 2 * kBlock - 1) lags[kBlock + kBlock * i + offset] += sum;
  }
  __syncwarp();
}

constexpr int kWords = 4 * kPlanes * kPlane;    // of planes: [buffer][x or c]
static_assert(kChannels * kScratch <= kWords);  // at the end they are the warps' scratch
constexpr int kPieces = 3;                      // of a thread and stage: x, dy, pre
constexpr int kSharedBytes = 4 * kWords + 16 * kAhead * kPieces * kMatrixThreads;

__global__ void __launch_bounds__(kMatrixThreads, 1)
    toeplitz_dw(const __grid_constant__ Conv1dArgs a, const __grid_constant__ Columns cut) {
  extern __shared__ uint4 shared[];
  uint4* const ahead = shared + threadIdx.x;
  unsigned* const planes = reinterpret_cast<unsigned*>(shared + kAhead * kPieces * kMatrixThreads);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int share = int(blockIdx.x / cut.channel_blocks);
  const int channel = int(blockIdx.x % cut.channel_blocks) * kChannels;

  // A thread passes eight channels of one (time, column): the two times of a warp are four apart,
  // and so in different banks.
  const int piece = threadIdx.x % 2, place = threadIdx.x / 2 % kColumns;
  const int time = warp / 4 * 8 + warp % 4 + lane / 16 * 4;
  const int at = piece * 4 * kPlane + in_plane(time, place);
  const int d = channel + piece * 8;
  const auto slot = [&](int stage, int piece_of) {
    return ahead + (stage * kPieces + piece_of) * kMatrixThreads;
  };
  const bool warms_up = cut.segments > 1 || a.history != nullptr;
  const int begin = warms_up ? -kMatrixTaps : 0;

  float G[kDiagonals][2][4] = {};
  float dbias = 0;
  int buffer = 0;
  const int end = int(cut.groups * (share + 1) / a.shares);
#pragma unroll 1
  for (int group = int(cut.groups * share / a.shares); group < end; group++) {
    const Column column(cut, group * kColumns + place);
    const auto fetch = [&](int step, int to) {
      if (step < cut.length) {
        const int t = column.segment + step + time;
        copy_x(slot(to, 0), a, column.b, t, d);
        if (step >= 0) copy_row(slot(to, 1), a, a.dy, column.b, t, d);
        if (step >= 0 && a.silu) copy_row(slot(to, 2), a, a.pre, column.b, t, d);
      }
      end_stage();
    };
    unsigned window[kDiagonals + 1][2] = {};  // [i]: x_{p+1-i}
    fetch(begin, buffer);
    fetch(begin + kSteps, buffer ^ 1);
#pragma unroll 1
    for (int step = begin; step < cut.length; step += kSteps) {
      const int from = buffer;
      unsigned* here = planes + from * 2 * kPlanes * kPlane;
      buffer ^= 1;
      await_stages<kAhead - 1>();
      store_planes(here, at, *slot(from, 0));
      if (step >= 0) {
        uint4 c = *slot(from, 1);
        if (a.silu) c = gradient_of(c, *slot(from, 2));
        store_planes(here + kPlanes * kPlane, at, c);
      }
      __syncthreads();  // nobody is two buffers ahead
      fetch(step + kAhead * kSteps, from);
#pragma unroll
      for (int i = kDiagonals; i >= 2; i--) {
        window[i][0] = window[i - 2][0];
        window[i][1] = window[i - 2][1];
      }
      const unsigned* plane = here + warp / 2 * kPlane;
      load_operand(plane + kBlock * kColumns, warp % 2, window[0]);
      load_operand(plane, warp % 2, window[1]);
      if (step < 0) continue;
      const unsigned* gradients = plane + kPlanes * kPlane;
      unsigned c[2][2];
      load_operand(gradients, warp % 2, c[0]);
      load_operand(gradients + kBlock * kColumns, warp % 2, c[1]);
      const unsigned rows[4] = {c[0][0], c[0][1], c[1][0], c[1][1]};
#pragma unroll
      for (int k = 0; k < 4; k++) {
        dbias += low_of(rows[k]) + high_of(rows[k]);
      }
#pragma unroll
      for (int i = 0; i < kDiagonals; i++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          multiply_add(G[i][half], rows, window[i + 1][half], window[i][half]);
        }
      }
    }
  }

  __syncthreads();
  float* scratch = reinterpret_cast<float*>(planes);
  sum_diagonals(G, scratch + warp * kScratch);
  dbias = warp_sum(dbias);
  float* partial = static_cast<float*>(a.partial) + std::int64_t(share) * (a.K + 1) * a.D + channel;
  if (lane == 0 && channel + warp < a.D) partial[a.K * a.D + warp] = dbias;
  __syncthreads();
  for (int out = threadIdx.x; out < int(a.K) * kChannels; out += kMatrixThreads) {
    const int own = out % kChannels, i = out / kChannels;
    if (channel + own >= a.D) continue;
    partial[(a.K - 1 - i) * a.D + own] = scratch[own * kScratch + kBlock * kEdge + kBlock + i];
  }
}

}  // namespace

void matrix_conv1d_dw(const Conv1dArgs& a) {
  const Columns cut(a.B, a.T, a.D, kChannels);
  succeeded(
      cudaFuncSetAttribute(toeplitz_dw, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes),
      "cudaFuncSetAttribute");
  const unsigned blocks = unsigned(a.shares) * cut.channel_blocks;
  toeplitz_dw<<<blocks, kMatrixThreads, kSharedBytes, stream()>>>(a, cut);
  launched("causal_conv1d_backward, dw");
}

}  // namespace farsight::cuda
