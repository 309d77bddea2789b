// Long kernels of up to kConv1dMatrixTaps taps on the tensor cores, bf16, backward in one pass: see
// causal_conv1d_matrix.cuh for rows, blocks and the product.
//
// A block of threads has 16 channels and walks through its share of the rows, tile by tile. A warp has
// two channels and does for them, out of shared memory,
//
//   m = W x + bias,   c = dy silu'(m)       of the tile that has come; c takes the place of dy
//   dx = W^T c                              of the tile `reach` behind, which sees that far ahead
//   dw[l] += sum_t c[t] x[t - l]            for t - l in that tile
//
// The last is a product of [16, steps] with [steps, 8] whose 128 entries are 128 lags: row m are the c
// 8 m steps ahead, column n the x n steps back. A fragment of x with odd n holds pairs that begin at an
// odd step, so there is a second copy of x, one step late. The entries stay in four registers a
// channel and 128 lags until they go to partial[share].
//
// Packed rows: blocks of different sequences are not multiplied (their place is taken by zeros); what
// columns reach back from a block into the one before is of the same sequence, or of the seven zeros
// that end every sequence.
//
// Floor: x and dy read, dx written: 3 B T D elements, 0.2 ms at 65,536 x 1536. What limits it is shared
// memory: about 90 accesses of 128 bytes for 128 steps of a channel, 0.3 ms.
#include "cuda/causal_conv1d_matrix.cuh"
#include "cuda/causal_conv1d_matrix_rings.cuh"

namespace farsight::cuda {
namespace {

using namespace conv1d_rings;

/// dw += c x^T for the steps of the 16 half blocks from `first` on, of which the first `skipped` pairs
/// are known to be zeros. The slots of a half block are summed in the order 7..0, as c has them.
template <int kReach, Rows kRows>
__device__ inline void add_dw(float (&dw)[kEach][kReach][4], const Shared<kReach>& shared, int own,
                              int first, int skipped, int K, int swizzle, const int* starts) {
  constexpr int kBlocks = kRing<kReach> * kTileBlocks;
  const int lane = threadIdx.x % 32, g = lane / 4;
  const int back = 6 - 2 * (lane % 4) - g + g % 2;  // of the lane's pair of x, an even number
  const char* x = g % 2 == 0 ? shared.x[own] : shared.late_x[own];
  const int x_swizzle = g % 2 == 0 ? swizzle : swizzle ^ kOddSwizzle;
  constexpr int kTogether =
      kRows == Rows::plain ? 2 : 1;  // more would take more registers than there are
#pragma unroll kTogether
  for (int pair = skipped; pair < kTileBlocks; pair++) {
    const int at = first + 2 * pair;
    const int low = back < 0 ? at - 1 : at;  // the half block of the lane's first pair
    const int x_at[2] = {
        half_block_at<kRing<kReach>>(low >> 1, low & 1, x_swizzle) + (back & 7) * 2,
        half_block_at<kRing<kReach>>((low + 1) >> 1, (low + 1) & 1, x_swizzle) + (back & 7) * 2};
    const int own_x = at + lane / 16;  // that this lane's row of c meets
#pragma unroll
    for (int q = 0; q < kReach; q++) {
      if (q > 0 && q * kTileSlots >= K) break;
      const int ahead = own_x + lane % 16 + q * kTileBlocks * 2;
      const char* row =
          shared.c[own] + half_block_at<kRing<kReach>>(ahead >> 1, ahead & 1, swizzle);
      int stride = kRingBytes<kReach>;
      if (starts != nullptr && starts[ahead >> 1 & (kBlocks - 1)] > own_x >> 1) {
        row = reinterpret_cast<const char*>(&shared.zeros);
        stride = 0;
      }
#pragma unroll
      for (int k = 0; k < kEach; k++) {
        unsigned c[4];
        load_matrices(c, row + k * stride);
        const char* pairs = x + k * kRingBytes<kReach>;
        multiply_add(dw[k][q], c, exchanged(*reinterpret_cast<const unsigned*>(pairs + x_at[0])),
                     exchanged(*reinterpret_cast<const unsigned*>(pairs + x_at[1])));
      }
    }
  }
}

/// A tile of dx, or of the history's, from shared.out.
template <int kReach, Rows kRows>
__device__ inline void store_dx(const Conv1dArgs& a, const Shared<kReach>& shared,
                                const Passage<kPieces>& passage, const Cursor<kRows>& at, int tile,
                                int d, bool together) {
  const char* out = shared.out[passage.piece * 8] + passage.at<1>(0);
  unsigned words[8];
#pragma unroll
  for (int k = 0; k < 8; k++) {
    words[k] = *reinterpret_cast<const unsigned*>(out + k * kTileBytes);
  }
  int count;
  const int t = at.row.time_of(tile * kTileSlots + passage.slot, &count);
#pragma unroll
  for (int s = 0; s < 2; s++) {
    const uint4 row = row_of_step(words, s);
    if (d >= a.D) continue;
    if (kAny<kRows> && t + s < 0) {  // written even where it is not reached
      if (a.dhistory == nullptr || t + s <= -a.K) continue;
      const std::int64_t to = (std::int64_t(at.b) * (a.K - 1) + a.K - 1 + t + s) * a.D + d;
      put_channels<kRows>(static_cast<bf16*>(a.dhistory) + to, row, int(a.D) - d, together,
                          a.dhistory_add);
    } else if (s < count && a.dx != nullptr) {
      put_channels<kRows>(static_cast<bf16*>(a.dx) + offset_of(a, at.b, t + s, a.dx_stride) + d,
                          row, int(a.D) - d, together, a.dx_add);
    }
  }
}

template <int kReach, Rows kRows>
__global__ void __launch_bounds__(kMatrixThreads, kReach == 1 && !kAny<kRows> ? 2 : 1)
    toeplitz_backward(const __grid_constant__ Conv1dArgs a,
                      const __grid_constant__ MatrixWork work) {
  extern __shared__ uint4 shared_memory[];
  Shared<kReach>& shared = *reinterpret_cast<Shared<kReach>*>(shared_memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int channel = int(blockIdx.x % work.channel_blocks) * kChannels;
  const int share = int(blockIdx.x / work.channel_blocks);
  const int begin = int(a.B * share / work.workers), end = int(a.B * (share + 1) / work.workers);
  const int reach = kReach == 1 ? 1 : int((a.K + kTileSlots - 1) / kTileSlots);
  const int first = kAny<kRows> && a.history != nullptr ? -reach : 0;
  const bool passes_x = threadIdx.x < Passage<kPieces>::kThreads;
  const Passage<kPieces> passage(threadIdx.x % Passage<kPieces>::kThreads);
  const int d = channel + passage.piece * 8;

  Cursor<kRows> ahead(a, begin, end, first, reach);
  const auto fetch = [&](int stage) {
    if (ahead.valid()) {
      copy_channels<kRows, kMatrixThreads>(&shared.ahead[stage][0][threadIdx.x], a, work.together,
                                           passes_x, ahead.row, ahead.b,
                                           ahead.tile * kTileSlots + passage.slot, d);
      ahead.advance(a);
    }
    end_stage();
  };
  fetch(0);
  fetch(1);

  load_taps<kReach>(shared.taps, a, channel, kChannels);
  if (threadIdx.x == 0) shared.zeros = uint4{};
  __syncthreads();
  const int own = warp * kEach, swizzle = own / 8 * (8 / kPieces);
  const unsigned short* taps = shared.taps + own * kTapRow<kReach>;
  const Fragments<kReach, kEach> fragments(taps);
  float bias[kEach], dbias[kEach] = {}, dw[kEach][kReach][4] = {};
#pragma unroll
  for (int k = 0; k < kEach; k++) {
    bias[k] = channel + own + k < a.D ? static_cast<const float*>(a.bias)[channel + own + k] : 0.0f;
  }
  const int* const starts = is_packed<kRows>(a) ? shared.starts : nullptr;
  const char* const zeros = reinterpret_cast<const char*>(&shared.zeros);

  int stage = 0;
  Cursor<kRows> at(a, begin, end, first, reach);
#pragma unroll 1
  for (; at.valid(); at.advance(a), stage ^= 1) {
    await_stages<kAhead - 1>();
    const uint4 rows[2] = {shared.ahead[stage][0][threadIdx.x],
                           shared.ahead[stage][1][threadIdx.x]};
    store_piece<kReach>(shared, passage, rows, passes_x, at.tile);
    if (at.tile == first) {  // what it looks back to holds another row
#pragma unroll 1
      for (int back = 1; back <= reach; back++) {
        const uint4 nothing[2] = {};
        store_piece<kReach>(shared, passage, nothing, passes_x, first - back);
      }
    }
    if (starts != nullptr && threadIdx.x < kTileBlocks) {
      const int block = at.tile * kTileBlocks + int(threadIdx.x);
      shared.starts[block & (kRing<kReach> * kTileBlocks - 1)] = at.row.start_of(block);
    }
    __syncthreads();
    fetch(stage);
    if (kAny<kRows> && at.tile < 0) continue;

    float sums[kEach][4];
    if (at.tile < at.row.tiles()) {
      if (a.silu) {
        convolve<kReach, kEach, true>(sums, fragments, int(a.K), shared.x[own], at.tile, swizzle,
                                      starts, zeros);
      }
      finish_c<kReach>(shared, own, at.tile, swizzle, a.silu, sums, bias, dbias);
      __syncwarp();
    }
    const int behind = at.tile - reach;
    const bool has_dx = behind >= 0 ? a.dx != nullptr : kAny<kRows> && a.dhistory != nullptr;
    if (has_dx) {
      convolve<kReach, kEach, false>(sums, fragments, int(a.K), shared.c[own], behind, swizzle,
                                     starts, zeros);
#pragma unroll
      for (int k = 0; k < kEach; k++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          char* out = shared.out[own + k] + half_block_at<1>(lane / 4, 1 - half, swizzle);
          *reinterpret_cast<unsigned*>(out + 12 - lane % 4 * 4) =
              exchanged(transposed(pack(sums[k][2 * half], sums[k][2 * half + 1])));
        }
      }
    }
    // The half blocks of x from the second of the tile on to the first behind it. Without a history
    // there is nothing before the row's first.
    const bool before = kAny<kRows> && a.history != nullptr;
    if (behind >= -1 || before) {
      const int skipped = behind < 0 && !before ? kTileBlocks - 1 : 0;
      add_dw<kReach, kRows>(dw, shared, own, behind * 2 * kTileBlocks + 1, skipped, int(a.K),
                            swizzle, starts);
    }
    __syncthreads();
    if (has_dx && passes_x) store_dx<kReach>(a, shared, passage, at, behind, d, work.together);
  }

  float* partial = static_cast<float*>(a.partial) + share * (a.K + 1) * a.D + channel + own;
#pragma unroll
  for (int k = 0; k < kEach; k++) {
    const float total = warp_sum(dbias[k]);
    if (channel + own + k >= a.D) continue;
    if (lane == 0) partial[a.K * a.D + k] = total;
#pragma unroll
    for (int i = 0; i < kReach * 4; i++) {
      const int lag = i / 4 * kTileSlots + (lane / 4 + i % 4 / 2 * 8) * 8 + lane % 4 * 2 + i % 2;
      if (lag < a.K) partial[(a.K - 1 - lag) * a.D + k] = dw[k][i / 4][i % 4];
    }
  }
}

template <int kReach, Rows kRows>
void launch(const Conv1dArgs& a, const MatrixWork& work) {
  constexpr int kBytes = int(sizeof(Shared<kReach>));
  succeeded(cudaFuncSetAttribute(toeplitz_backward<kReach, kRows>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
            "cudaFuncSetAttribute");
  toeplitz_backward<kReach, kRows>
      <<<work.channel_blocks* unsigned(work.workers), kMatrixThreads, kBytes, stream()>>>(a, work);
}

}  // namespace

void matrix_conv1d_backward(const Conv1dArgs& args) {
  const Conv1dArgs a = with_planned_rows(args, kGap);
  MatrixWork work;
  work.channel_blocks = unsigned(blocks_for(a.D, kChannels));
  work.workers = int(a.shares);
  work.together = a.D % 8 == 0 && a.dx_stride % 8 == 0 &&
                  moves_together<8, bf16>(a.x_stride, a.x, a.dy, a.history, a.dx, a.dhistory);
  with_matrix_instance(a, work.together && a.dhistory == nullptr,
                       [&]<int kReach, Rows kRows>() { launch<kReach, kRows>(a, work); });
  launched("causal_conv1d_backward");
}

}  // namespace farsight::cuda
