// Long kernels of up to kConv1dMatrixTaps taps on the tensor cores, bf16, forward: see
// causal_conv1d_matrix.cuh for the product.
//
// A block of threads has 16 channels and a share of the rows. Tile by tile: the threads move their
// pieces, which came ahead of time, from [time][channel] to the channels' rings; a warp multiplies its
// two channels, adds the bias and takes the SiLU; the tile goes back by the same passage. The blocks
// of a multiprocessor wait for different things.
//
// Operands are bf16 (x and w too), sums f32. m is not kept: the backward computes it again, which costs
// less than moving it. Floor: 2 B T D elements, 0.13 ms at 65,536 x 1536; the products take 0.05 ms.
#include "cuda/causal_conv1d_matrix.cuh"

namespace farsight::cuda {
namespace {

constexpr int kPieces = 2;                       // of eight channels
constexpr int kChannels = 8 * kPieces;           // of a block
constexpr int kEach = kChannels / kMatrixWarps;  // of a warp
constexpr int kAhead = 4;                        // tiles on their way
constexpr int kPassing = Passage<kPieces>::kThreads;
static_assert(kPassing <= kMatrixThreads);

template <int kReach>
struct Shared {
  uint4 ahead[kAhead][2][kPassing];
  alignas(128) char in[kChannels][kRingBytes<kReach>];
  char out[kChannels][kTileBytes];
  uint4 zeros;
  int starts[kRing<kReach> * kTileBlocks];
  unsigned short taps[kChannels * kTapRow<kReach>];
};

/// A tile of this thread's piece into the rings.
template <int kReach>
__device__ inline void store_piece(Shared<kReach>& shared, const Passage<kPieces>& passage,
                                   const uint4 (&rows)[2], int tile) {
  unsigned words[8];
  words_of_channels(rows, words);
  char* to = shared.in[passage.piece * 8] + passage.at<kRing<kReach>>(tile);
#pragma unroll
  for (int k = 0; k < 8; k++) {
    *reinterpret_cast<unsigned*>(to + k * kRingBytes<kReach>) = words[k];
  }
}

/// A tile of y, from shared.out.
template <int kReach, Rows kRows>
__device__ inline void store_tile(const Conv1dArgs& a, const Shared<kReach>& shared,
                                  const Passage<kPieces>& passage, const Cursor<kRows>& at, int d,
                                  bool together) {
  const char* out = shared.out[passage.piece * 8] + passage.at<1>(0);
  unsigned words[8];
#pragma unroll
  for (int k = 0; k < 8; k++) {
    words[k] = *reinterpret_cast<const unsigned*>(out + k * kTileBytes);
  }
  int count;
  const int t = at.row.time_of(at.tile * kTileSlots + passage.slot, &count);
#pragma unroll
  for (int s = 0; s < 2; s++) {
    if (s >= count || d >= a.D) continue;
    put_channels<kRows>(static_cast<bf16*>(a.y) + offset_of(a, at.b, t + s, a.D) + d,
                        row_of_step(words, s), int(a.D) - d, together, false);
  }
}

template <int kReach, Rows kRows>
__global__ void __launch_bounds__(kMatrixThreads, kReach == 1 && !kAny<kRows> ? 2 : 1)
    toeplitz(const __grid_constant__ Conv1dArgs a, const __grid_constant__ MatrixWork work) {
  extern __shared__ uint4 shared_memory[];
  Shared<kReach>& shared = *reinterpret_cast<Shared<kReach>*>(shared_memory);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int channel = int(blockIdx.x % work.channel_blocks) * kChannels;
  const int worker = int(blockIdx.x / work.channel_blocks);
  const int begin = int(a.B * worker / work.workers), end = int(a.B * (worker + 1) / work.workers);
  const int first = kAny<kRows> && a.history != nullptr ? -kReach : 0;
  const bool passes = threadIdx.x < kPassing;
  const Passage<kPieces> passage(threadIdx.x % kPassing);
  const int d = channel + passage.piece * 8;

  Cursor<kRows> ahead(a, begin, end, first, 0);
  const auto fetch = [&](int stage) {
    if (passes && ahead.valid()) {
      copy_channels<kRows, kPassing>(&shared.ahead[stage][0][threadIdx.x], a, work.together, true,
                                     ahead.row, ahead.b, ahead.tile * kTileSlots + passage.slot, d);
      ahead.advance(a);
    }
    end_stage();
  };
#pragma unroll
  for (int stage = 0; stage < kAhead; stage++) {
    fetch(stage);
  }

  load_taps<kReach>(shared.taps, a, channel, kChannels);
  if (threadIdx.x == 0) shared.zeros = uint4{};
  __syncthreads();
  const int own = warp * kEach, swizzle = own / 8 * (8 / kPieces);
  const Fragments<kReach, kEach> fragments(shared.taps + own * kTapRow<kReach>);
  float bias[kEach];
#pragma unroll
  for (int k = 0; k < kEach; k++) {
    bias[k] = channel + own + k < a.D ? static_cast<const float*>(a.bias)[channel + own + k] : 0.0f;
  }
  const int* const starts = is_packed<kRows>(a) ? shared.starts : nullptr;

  int stage = 0;
  Cursor<kRows> at(a, begin, end, first, 0);
#pragma unroll 1
  for (; at.valid(); at.advance(a), stage = (stage + 1) % kAhead) {
    // In.
    await_stages<kAhead - 1>();
    if (passes) {
      const uint4 rows[2] = {shared.ahead[stage][0][threadIdx.x],
                             shared.ahead[stage][1][threadIdx.x]};
      store_piece(shared, passage, rows, at.tile);
      if (at.tile == first) {  // what it looks back to holds another row
#pragma unroll 1
        for (int back = 1; back <= kReach; back++) {
          const uint4 nothing[2] = {};
          store_piece(shared, passage, nothing, first - back);
        }
      }
    }
    if (starts != nullptr && threadIdx.x < kTileBlocks) {
      const int block = at.tile * kTileBlocks + int(threadIdx.x);
      shared.starts[block & (kRing<kReach> * kTileBlocks - 1)] = at.row.start_of(block);
    }
    __syncthreads();
    fetch(stage);
    if (kAny<kRows> && at.tile < 0) continue;

    // The product.
    float sums[kEach][4];
    convolve<kReach, kEach, true>(sums, fragments, int(a.K), shared.in[own], at.tile, swizzle,
                                  starts, reinterpret_cast<const char*>(&shared.zeros));
#pragma unroll
    for (int k = 0; k < kEach; k++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        float y[2] = {sums[k][2 * half] + bias[k], sums[k][2 * half + 1] + bias[k]};
        if (a.silu) {
          y[0] = silu(y[0]);
          y[1] = silu(y[1]);
        }
        char* out = shared.out[own + k] + half_block_at<1>(lane / 4, half, swizzle);
        *reinterpret_cast<unsigned*>(out + lane % 4 * 4) = transposed(pack(y[0], y[1]));
      }
    }
    __syncthreads();

    if (passes) store_tile(a, shared, passage, at, d, work.together);
  }
}

/// A warp a row, in which a sequence starts every `period` steps at least: the blocks of a sequence are written when its end is met.
__global__ void __launch_bounds__(kMatrixThreads)
    plan_rows(const __grid_constant__ Conv1dArgs a, int gap, int period) {
  const int lane = threadIdx.x % 32, T = int(a.T);
  const std::int64_t b = std::int64_t(blockIdx.x) * kMatrixWarps + threadIdx.x / 32;
  if (b >= a.B) return;  // whole warps
  const std::int32_t* position = a.position != nullptr ? a.position + b * a.T : nullptr;
  const auto starts_at = [&](int t) {
    return t % period == 0 || (position != nullptr && position[t] == 0);
  };
  PlannedBlock* plan = reinterpret_cast<PlannedBlock*>(a.plan) + b * (a.T + 1);
  int begin = 0, blocks = 0;  // of the sequence under way
  bool resumed = position != nullptr && position[0] != 0;
  const auto end_sequence = [&](int end) {
    const int count = (end - begin + gap + kBlock - 1) / kBlock;
    const int start = resumed ? kAlways : blocks;
    for (int i = lane; i < count; i += 32) {
      const int used = min(max(end - begin - i * kBlock, 0), kBlock);
      plan[1 + blocks + i] = {begin + i * kBlock, start * 32 + used};
    }
    blocks += count;
    begin = end;
    resumed = false;
  };
  for (int base = 0; base < T; base += 32) {
    const int t = base + lane;
    unsigned starts = __ballot_sync(0xffffffffu, t > 0 && t < T && starts_at(t));
    while (starts != 0) {
      end_sequence(base + __ffs(int(starts)) - 1);
      starts &= starts - 1;
    }
  }
  end_sequence(T);
  if (lane == 0) plan[0] = {blocks, 0};
}

template <int kReach, Rows kRows>
void multiply(const Conv1dArgs& a, const MatrixWork& work) {
  constexpr int kBytes = int(sizeof(Shared<kReach>));
  succeeded(cudaFuncSetAttribute(toeplitz<kReach, kRows>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
            "cudaFuncSetAttribute");
  toeplitz<kReach, kRows>
      <<<work.channel_blocks* unsigned(work.workers), kMatrixThreads, kBytes, stream()>>>(a, work);
}

}  // namespace

Conv1dArgs with_planned_rows(const Conv1dArgs& a, int gap) {
  constexpr std::int64_t kLongRow = 512;
  Conv1dArgs planned = a;
  if (a.plan == nullptr) return planned;
  std::int64_t together = 1;
  if (a.T < kTileSlots && a.history == nullptr && a.dhistory == nullptr) {
    together = kLongRow / a.T;
    while (a.B % together != 0) {
      together--;
    }
  }
  if (a.position == nullptr && together == 1) {
    planned.plan = nullptr;
    return planned;
  }
  planned.B = a.B / together;
  planned.T = a.T * together;
  plan_rows<<<blocks_for(planned.B, kMatrixWarps), kMatrixThreads, 0, stream()>>>(planned, gap,
                                                                                  int(a.T));
  launched("causal_conv1d, plan of packed rows");
  return planned;
}

void matrix_conv1d_forward(const Conv1dArgs& args) {
  const Conv1dArgs a = with_planned_rows(args, 0);
  constexpr unsigned kWanted = 1056;  // blocks: four times what finds room at once
  MatrixWork work;
  work.channel_blocks = unsigned(blocks_for(a.D, kChannels));
  const unsigned workers = (kWanted + work.channel_blocks - 1) / work.channel_blocks;
  work.workers = int(workers < a.B ? workers : a.B);
  work.together = a.D % 8 == 0 && moves_together<8, bf16>(a.x_stride, a.x, a.y, a.history);
  with_matrix_instance(a, work.together,
                       [&]<int kReach, Rows kRows>() { multiply<kReach, kRows>(a, work); });
  launched("causal_conv1d_forward");
}

}  // namespace farsight::cuda
