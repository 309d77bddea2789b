// The forward of the gated long convolution on tensor cores, and the gradients of its inputs, bf16: see
// long_conv_matrix.cuh for the sum.
//
// A block has a share of the rows of its channels: their products with the gate come from
// [time][channel] to [channel][time], every warp correlates its channel with the taps and puts the sums
// in the place of its own operand, and they go back by the same passage, where the other gate awaits
// them. Where two blocks find room on a multiprocessor, they wait for different things.
//
// Floor: forward 5 B T D elements (m is kept), inputs' gradients 8 of them: 0.19 and 0.3 ms at 65,536 x
// 864 x 2 bytes and 3 TB/s; the products, at T = 2048, 0.15 ms each at the tensor cores' full rate.
#include "cuda/long_conv_matrix.cuh"

namespace farsight::cuda {
namespace {

template <int kTiles>
struct Shared {
  P<kTiles> p;
  Q<kTiles, 1> taps;
};

template <int kTiles>
__device__ inline void load_taps(Shared<kTiles>& shared, const LongConvArgs& a, int channel) {
  const int taps = int(reached_taps(a));
  constexpr int kPassages = Layout<kTiles>::kSteps / 2 * kPieces;
  for (int i = threadIdx.x; i < kPassages; i += kMatrixThreads) {
    const Passage<kTiles> passage(i);
    float k[2][8] = {};
#pragma unroll
    for (int s = 0; s < 2; s++) {
      if (passage.first + s >= taps) continue;
      const std::int64_t at = (passage.first + s) * a.D + channel + passage.piece * 8;
      load_elements<8>(static_cast<const float*>(a.k) + at, k[s]);
    }
    unsigned words[8];
#pragma unroll
    for (int c = 0; c < 8; c++) {
      words[c] = pack(k[0][c], k[1][c]);
    }
    store_passage<kTiles, 1>(shared.taps, passage, words);
  }
}

/// Where a step of a passage is in the inputs and in what is dense; has: whether there is such a step.
struct Place {
  bool has;
  std::int64_t row;

  template <int kTiles>
  __device__ Place(const LongConvArgs& a, const Passage<kTiles>& passage, int step, int b, int end,
                   bool reversed) {
    const int t = passage.time(step, reversed);
    has = b + passage.row < end && t < a.T;
    row = (b + passage.row) * a.T + t;
  }
};

/// kForward: y and m from w. Else dv, dpre and dpost from dm.
template <int kTiles, bool kForward>
__global__ void __launch_bounds__(kMatrixThreads, Layout<kTiles>::kMostBlocks)
    convolve(const __grid_constant__ LongConvArgs a, const __grid_constant__ LongConvWork work) {
  extern __shared__ uint4 shared_memory[];
  Shared<kTiles>& shared = *reinterpret_cast<Shared<kTiles>*>(shared_memory);
  constexpr int kPassages = Layout<kTiles>::kPassages, kRows = Layout<kTiles>::kRows;
  constexpr int kTogether = kTiles < 16 ? 2 : 1;  // passages: more registers there are not
  const int warp = threadIdx.x / 32;
  const int channel = int(blockIdx.x % work.channel_blocks) * kMatrixChannels;
  const int worker = int(blockIdx.x / work.channel_blocks);
  const int begin = int(a.B * worker / work.workers), end = int(a.B * (worker + 1) / work.workers);
  clear(shared);
  __syncthreads();
  load_taps<kTiles>(shared, a, channel);
  const float bias = static_cast<const float*>(a.bias)[channel + warp];

#pragma unroll 1
  for (int b = begin; b < end; b += kRows) {
#pragma unroll kTogether
    for (int i = threadIdx.x; i < kPassages; i += kMatrixThreads) {
      const Passage<kTiles> passage(i);
      const int d = channel + passage.piece * 8;
      uint4 rows[2] = {};
#pragma unroll
      for (int s = 0; s < 2; s++) {
        const Place at(a, passage, s, b, end, kForward);
        if (!at.has) continue;
        rows[s] = kForward ? product(eight_channels(a.v, at.row * a.v_stride + d),
                                     eight_channels(a.pre, at.row * a.pre_stride + d))
                           : product(eight_channels(a.dy, at.row * a.dy_stride + d),
                                     eight_channels(a.post, at.row * a.post_stride + d));
      }
      store_passage<kTiles>(shared.p, passage, rows);
    }
    __syncthreads();

#pragma unroll 1
    for (int row = 0; row < kRows; row++) {
      unsigned short* const own = shared.p.of(row, warp);
      float sum[kTiles][4] = {};
      correlate<kTiles>(sum, own, shared.taps.of(0, warp));
      __syncwarp();  // all lanes have read what now takes their sums
#pragma unroll
      for (int k = 0; k < 2 * kTiles; k++) {
        unsigned& word = *reinterpret_cast<unsigned*>(own + place_of_sum(k / 2) + k % 2 * 64);
        word = pack(sum[k / 2][k % 2 * 2] + bias * low_of(word),
                    sum[k / 2][k % 2 * 2 + 1] + bias * high_of(word));
      }
    }
    __syncthreads();

    // What a thread reads here it overwrites itself in the next round.
#pragma unroll kTogether
    for (int i = threadIdx.x; i < kPassages; i += kMatrixThreads) {
      const Passage<kTiles> passage(i);
      const int d = channel + passage.piece * 8;
      uint4 rows[2];
      load_passage<kTiles>(shared.p, passage, rows);
#pragma unroll
      for (int s = 0; s < 2; s++) {
        const Place at(a, passage, s, b, end, kForward);
        if (!at.has) continue;
        const std::int64_t dense = at.row * a.D + d;
        if constexpr (kForward) {
          if (a.m != nullptr) {
            *reinterpret_cast<uint4*>(static_cast<bf16*>(a.m) + dense) = rows[s];
          }
          put_product(a.y, dense, rows[s], eight_channels(a.post, at.row * a.post_stride + d),
                      false);
        } else {
          if (a.dv != nullptr) {
            put_product(a.dv, at.row * a.dv_stride + d, rows[s],
                        eight_channels(a.pre, at.row * a.pre_stride + d), a.dv_add);
          }
          if (a.dpre != nullptr) {
            put_product(a.dpre, at.row * a.dpre_stride + d, rows[s],
                        eight_channels(a.v, at.row * a.v_stride + d), a.dpre_add);
          }
          if (a.dpost != nullptr) {
            put_product(a.dpost, at.row * a.dpost_stride + d,
                        eight_channels(a.dy, at.row * a.dy_stride + d), eight_channels(a.m, dense),
                        a.dpost_add);
          }
        }
      }
    }
  }
}

template <bool kForward>
void launch(const LongConvArgs& a, const char* kernel) {
  with_tiles(a.T, [&]<int kTiles>() {
    constexpr int kBytes = int(sizeof(Shared<kTiles>));
    succeeded(cudaFuncSetAttribute(convolve<kTiles, kForward>,
                                   cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
              "cudaFuncSetAttribute");
    LongConvWork work;
    work.channel_blocks = unsigned(a.D / kMatrixChannels);
    // Some times as many blocks as there is room for, or the last ones would work alone for long.
    const std::int64_t workers =
        std::int64_t(7 * Layout<kTiles>::kMostBlocks) * multiprocessors() / work.channel_blocks + 1;
    const std::int64_t stages = blocks_for(a.B, Layout<kTiles>::kRows);
    work.workers = int(workers < stages ? workers : stages);
    convolve<kTiles, kForward>
        <<<work.channel_blocks* unsigned(work.workers), kMatrixThreads, kBytes, stream()>>>(a,
                                                                                            work);
  });
  launched(kernel);
}

/// Whether T steps fit this GPU's shared memory: the longest ask for more than an A100 has.
bool has_room(std::int64_t T) {
  static const int most = [] {
    int device = 0, bytes = 0;
    succeeded(cudaGetDevice(&device), "cudaGetDevice");
    succeeded(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
              "cudaDeviceGetAttribute");
    return bytes;
  }();
  bool fits = false;
  with_tiles(T, [&]<int kTiles>() { fits = int(sizeof(Shared<kTiles>)) <= most; });
  return fits;
}

}  // namespace

bool suits_matrix(const LongConvArgs& a) {
  return a.type == DType::bf16 && a.T <= kLongConvMatrixSteps && has_room(a.T) &&
         a.D % kMatrixChannels == 0 && a.pre_stride % 8 == 0 && a.post_stride % 8 == 0 &&
         a.dy_stride % 8 == 0 && a.dv_stride % 8 == 0 && a.dpre_stride % 8 == 0 &&
         a.dpost_stride % 8 == 0 &&
         moves_together<8, bf16>(a.v_stride, a.v, a.pre, a.post, a.k, a.dy, a.y, a.m, a.dv, a.dpre,
                                 a.dpost, a.partial);
}

void matrix_long_conv_forward(const LongConvArgs& a) {
  launch<true>(a, "long_conv_forward");
}

void matrix_long_conv_inputs(const LongConvArgs& a) {
  launch<false>(a, "long_conv_backward, inputs");
}

}  // namespace farsight::cuda
