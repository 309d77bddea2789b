// What the tensor core kernels of the scan share: who owns which state, and the products.
//
// A warp walks one sequence with a tile of 32 channels x 16 states, in the layout of a product's
// result, so that tensor cores can read and write the states where they are. Lane 4 row + pair owns
// four neighbouring channels, 4 row + i, and four states, 8 j + 2 pair + k: value [m][j][r] of a
// lane is channel i = 2 m + r / 2, state k = r % 2 of it.
//
//   input B and C dy    are products with one nonzero column: K = 4 steps, of which the operand from
//                       B or C keeps the one that is meant
//   C h, summed over n  is a product with one nonzero column again, so that eight steps share a result
//
// Operands are tf32: ten bits of mantissa, where the activations have seven; sums are f32.
#pragma once

#include "cuda/matrix.cuh"
#include "cuda/selective_scan.cuh"

namespace farsight::cuda {

inline constexpr int kTileChannels = 32;
inline constexpr int kTileWarps = 4;   // of a block
inline constexpr int kBlockSteps = 8;  // of a result that is summed over the states
inline constexpr int kGroupSteps = 4;  // of a product with B or C

/// 16 states of four channels: [m][j][r], see above.
using Tile = float[2][2][4];

/// Where a warp and its lane stand. kParts warps share 32 channels, 16 states each.
template <int kParts>
struct TilePlace {
  static constexpr int kSets = kTileWarps / kParts;  // of 32 channels, in a block
  int warp, lane, row, pair;
  int part, set;  // of the states, of the channels
  int b;          // the sequence
  int d, n;       // the first of four channels, the first state of the part
  bool valid;     // d is as it should be; beyond the last channel, lanes repeat the last four
  bool whole;     // so it is for all lanes

  __device__ TilePlace(const ScanArgs& a, int sequence, int channel_block) {
    warp = static_cast<int>(threadIdx.x) / 32;
    lane = static_cast<int>(threadIdx.x) % 32;
    row = lane / 4;
    pair = lane % 4;
    part = warp % kParts;
    set = warp / kParts;
    b = sequence;
    const int channel = (channel_block * kSets + set) * kTileChannels + 4 * row;
    d = min(channel, static_cast<int>(a.channels) - 4);
    n = part * kScanStates;
    valid = d == channel;
    whole = (channel_block * kSets + set + 1) * kTileChannels <= static_cast<int>(a.channels);
  }
  /// Waits for the warps that share the channels.
  __device__ void meet() const {
    if constexpr (kParts == 1) {
      __syncwarp();
    } else if constexpr (kParts == kTileWarps) {
      __syncthreads();
    } else {
      meet_some(1 + set, 32 * kParts);
    }
  }
  __device__ static void meet_some(int barrier, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
  }
  /// f(m, j, r, channel i, state n) for every value of a tile that exists.
  template <class F>
  __device__ void each(const ScanArgs& a, F f) const {
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
      for (int j = 0; j < 2; j++) {
#pragma unroll
        for (int r = 0; r < 4; r++) {
          const int state = n + 8 * j + 2 * pair + r % 2;
          if (state < static_cast<int>(a.N)) f(m, j, r, 2 * m + r / 2, state);
        }
      }
    }
  }
  /// A log2(e), so that exp(dt A) = 2^(dt decay).
  __device__ void load_decay(const ScanArgs& a, Tile& decay) const {
    clear(decay);
    each(a, [&](int m, int j, int r, int i, int state) {
      const float A_log = static_cast<const float*>(a.A_log)[std::int64_t(d + i) * a.N + state];
      decay[m][j][r] = -kLog2E * exp2_approx(A_log * kLog2E);
    });
  }
  /// States are stored [batch, channels, N]; null: zeros.
  __device__ void load_state(const ScanArgs& a, const void* from, Tile& h) const {
    clear(h);
    if (from == nullptr) return;
    each(a, [&](int m, int j, int r, int i, int state) {
      h[m][j][r] =
          static_cast<const float*>(from)[(std::int64_t(b) * a.channels + d + i) * a.N + state];
    });
  }
  __device__ void store_state(const ScanArgs& a, void* to, const Tile& h, bool add) const {
    if (to == nullptr || !valid) return;
    each(a, [&](int m, int j, int r, int i, int state) {
      put(static_cast<float*>(to) + (std::int64_t(b) * a.channels + d + i) * a.N + state,
          h[m][j][r], add);
    });
  }
  __device__ static void clear(Tile& tile) {
#pragma unroll
    for (int i = 0; i < 16; i++) {
      tile[i / 8][i / 4 % 2][i % 4] = 0;
    }
  }
  __device__ void load_four(const void* from, float (&x)[4]) const {
    const float4 all = *reinterpret_cast<const float4*>(static_cast<const float*>(from) + d);
    x[0] = all.x;
    x[1] = all.y;
    x[2] = all.z;
    x[3] = all.w;
  }
};

/// scan_softplus with relative error 9e-6, for a p that is rounded to bf16's 2e-3.
__device__ inline float short_softplus(float x) {
  const float y = exp2_approx(-fabsf(x) * kLog2E);
  float p = -2.386919e-02f;
  p = fmaf(p, y, 1.0122238e-01f);
  p = fmaf(p, y, -2.1004878e-01f);
  p = fmaf(p, y, 3.2520672e-01f);
  p = fmaf(p, y, -4.9936137e-01f);
  p = fmaf(p, y, 9.999916e-01f);
  return fmaf(p, y, fmaxf(x, 0.0f));
}

// ---- bf16 in memory --------------------------------------------------------------------------------

/// Four neighbouring channels.
__device__ inline void unpack_four(uint2 words, float (&x)[4]) {
  x[0] = low_of(words.x);
  x[1] = high_of(words.x);
  x[2] = low_of(words.y);
  x[3] = high_of(words.y);
}
__device__ inline uint2 pack_four(const float (&x)[4]) {
  return make_uint2(pack(x[0], x[1]), pack(x[2], x[3]));
}

/// A matrix of bf16, read by offsets of 32 bits: it is smaller than 4 GB.
struct Rows {
  const char* base;
  unsigned stride;  // bytes

  __device__ Rows(const void* p, std::int64_t row_stride)
      : base(static_cast<const char*>(p)), stride(static_cast<unsigned>(row_stride) * 2) {}
  __device__ const void* address(unsigned row, int column) const {
    return base + (row * stride + unsigned(column) * 2);
  }
  template <class Word>
  __device__ Word at(unsigned row, int column) const {
    return *static_cast<const Word*>(address(row, column));
  }
};

/// The state before a chunk but the first is stored [batch, chunks - 1, N, channels]: a lane's first.
template <int kParts>
__device__ inline unsigned checkpoint(const ScanArgs& a, const TilePlace<kParts>& me, int chunk) {
  const unsigned row =
      (unsigned(me.b) * unsigned(a.chunks - 1) + unsigned(chunk - 1)) * unsigned(a.N) +
      unsigned(me.n + 2 * me.pair);
  return row * unsigned(a.channels) + unsigned(me.d);
}
template <int kParts>
__device__ inline void store_checkpoint(const ScanArgs& a, const TilePlace<kParts>& me, int chunk,
                                        const Tile& h) {
  if (!me.valid || a.checkpoints == nullptr || chunk == 0) return;
  const unsigned first = checkpoint(a, me, chunk), channels = static_cast<unsigned>(a.channels);
  const int states = static_cast<int>(a.N) - me.n - 2 * me.pair;
#pragma unroll
  for (int j = 0; j < 2; j++) {
    if (8 * j >= states) continue;
#pragma unroll
    for (int k = 0; k < 2; k++) {
      const float of_state[4] = {h[0][j][k], h[0][j][2 + k], h[1][j][k], h[1][j][2 + k]};
      static_cast<uint2*>(a.checkpoints)[(first + unsigned(8 * j + k) * channels) / 4] =
          pack_four(of_state);
    }
  }
}

// ---- products --------------------------------------------------------------------------------------

/// sum += a b: [16 x 8] += [16 x 4] [4 x 8] in tf32. A lane holds a[row][pair], a[row + 8][pair] and
/// b[pair][row]; of the sum [row][2 pair], [row][2 pair + 1], and the same of row + 8.
__device__ inline void multiply_add_4(float (&sum)[4], float a0, float a1, float b) {
  asm("mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(__float_as_uint(a0)), "r"(__float_as_uint(a1)), "r"(__float_as_uint(b)));
}
/// The same with K = 8: a[row][pair], a[row + 8][pair], a[row][pair + 4], a[row + 8][pair + 4];
/// b[pair][row], b[pair + 4][row].
__device__ inline void multiply_add_8(float (&sum)[4], float a0, float a1, float a2, float a3,
                                      float b0, float b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(__float_as_uint(a0)), "r"(__float_as_uint(a1)), "r"(__float_as_uint(a2)),
        "r"(__float_as_uint(a3)), "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
}

/// A product cuts the mantissa of an operand to ten bits, which takes 2^-11 / m of it on average: 2^-11
/// / (2 log 2) for mantissas m as they come. A factor puts it back; rounding costs eight times as much.
inline constexpr float kUncut = 1.0f + 3.522e-4f;

/// tile += x s for a step of four: x[i] is this lane's channel i at step `pair`, s[j] the state
/// 8 j + row of B or C at step `pair`.
__device__ inline void add_outer(Tile& tile, const float (&x)[4], const float (&s)[2], bool meant) {
#pragma unroll
  for (int j = 0; j < 2; j++) {
    const float b = meant ? s[j] : 0.0f;
#pragma unroll
    for (int m = 0; m < 2; m++) {
      multiply_add_4(tile[m][j], x[2 * m], x[2 * m + 1], b);
    }
  }
}

// ---- B and C ---------------------------------------------------------------------------------------

/// A lane's columns of B or C; a state beyond N is the last.
struct StepColumns {       // of four steps, for add_outer
  unsigned short bits[2];  // [j]: state 8 j + row; `at` is the row of step `pair`
  template <int kParts>
  __device__ void load(const Rows& from, const TilePlace<kParts>& me, unsigned at, int N) {
#pragma unroll
    for (int j = 0; j < 2; j++) {
      bits[j] = from.at<unsigned short>(at, min(me.n + 8 * j + me.row, N - 1));
    }
  }
  __device__ float operator[](int j) const {
    return __uint_as_float(unsigned(bits[j]) << 16);
  }
};
struct StateColumns {  // of the step in row `at`, for sums over the states
  unsigned words[2];   // [j]: states 8 j + 2 pair and the next
  template <int kParts>
  __device__ void load(const Rows& from, const TilePlace<kParts>& me, unsigned at, int N) {
#pragma unroll
    for (int j = 0; j < 2; j++) {
      words[j] = from.at<unsigned>(at, min(me.n + 8 * j + 2 * me.pair, N - 2));
    }
  }
  /// Zeros beyond N. Asked where the word is used: where it is loaded, the test would wait for it.
  template <int kParts>
  __device__ unsigned word(const TilePlace<kParts>& me, int j, int N) const {
    return me.n + 8 * j + 2 * me.pair < N ? words[j] : 0;
  }
};

// ---- the host side -----------------------------------------------------------------------------------

/// Whether kElements of bf16 can move at once, by offsets of 32 bits.
template <int kElements>
bool moves_in(const ScanArgs& a, const void* p, std::int64_t stride) {
  return reinterpret_cast<std::uintptr_t>(p) % (kElements * 2) == 0 && stride % kElements == 0 &&
         a.batch * a.T * stride < std::int64_t(1) << 31 &&
         a.batch * a.chunks * a.N * a.channels < std::int64_t(1) << 31;
}
/// Calls f.template operator()<kParts>() with 16 kParts >= N.
template <class F>
void with_scan_parts(const ScanArgs& a, F f) {
  if (a.N <= 16) {
    f.template operator()<1>();
  } else if (a.N <= 32) {
    f.template operator()<2>();
  } else {
    f.template operator()<4>();
  }
}

}  // namespace farsight::cuda
