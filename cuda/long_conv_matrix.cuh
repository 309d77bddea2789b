// The correlation of long_conv.h on tensor cores, in bf16 with f32 sums, of channels in shared memory.
//
// Both indices are cut in two levels, i = 128 u + 8 m + n and s = 128 p + 16 r + j - n with m, j < 16 and
// n < 8. For given r, with P_v[m, j] = p[128 v + 16 r + 8 m + j] and Q_p[j, n] = q[128 p + 16 r + j - n],
//
//   out_u[m, n] += sum_p P_{u+p} Q_p
//
// are products of [16, 16] with [16, 8] matrices, of which P_v serves all outputs u <= v: a warp loads
// an operand once for every eight or so products, and 2048 outputs are 64 registers a lane. Rows of P
// lie in memory 16 bytes apart, as ldmatrix wants them. A column of Q with an odd n begins at an odd s,
// so q is stored twice, the second time one step late. p has a tile of zeros behind it, q eight before.
// An s that some n does not reach meets a p beyond the last, which is zero.
#pragma once

#include "cuda/long_conv.cuh"
#include "cuda/matrix.cuh"

namespace farsight::cuda {

inline constexpr int kStepTile = 128;
// A block has 16 channels, a warp each. A thread moves eight of them, 16 bytes of a row, and its neighbour
// the others: less than 32 bytes memory does not move.
inline constexpr int kPieces = 2;
inline constexpr int kMatrixChannels = 8 * kPieces;
inline constexpr int kMatrixThreads = 32 * kMatrixChannels;
inline constexpr int kPieceShift = 32;  // elements: the second piece lies in other banks

/// A sequence in shared memory, and how many of them a block has there at once.
template <int kTiles>
struct Layout {
  static constexpr int kSteps = kTiles * kStepTile;
  static constexpr int kRows = kTiles >= 4 ? 1 : 4 / kTiles;
  static constexpr int kPassages = kRows * kSteps / 2 * kPieces;  // pairs of steps of a piece
  static constexpr int kMostBlocks = kTiles >= 8 ? 1 : 2;         // of a multiprocessor
  static constexpr int kP = kSteps + kStepTile;                   // elements of a channel of p
  static constexpr int kBefore = 8;                               // zeros before q
  static constexpr int kQ = kSteps + 2 * kBefore;                 // of a copy of a channel of q
};

template <int kTiles>
struct P {
  alignas(16) unsigned short pieces[Layout<kTiles>::kRows][kPieces]
                                   [8 * Layout<kTiles>::kP + kPieceShift];

  __device__ unsigned short* of(int row, int channel) {
    return pieces[row][channel / 8] + channel % 8 * Layout<kTiles>::kP;
  }
};
template <int kTiles, int kRows = Layout<kTiles>::kRows>
struct Q {
  alignas(16) unsigned short pieces[kRows][kPieces][16 * Layout<kTiles>::kQ + kPieceShift];

  /// The first of its copies; the late one follows.
  __device__ unsigned short* of(int row, int channel) {
    return pieces[row][channel / 8] + channel % 8 * 2 * Layout<kTiles>::kQ;
  }
};

// ---- the correlation ----------------------------------------------------------------------------------

/// sum += the correlation of a channel of p and one of q (both copies). Of out_u a lane (g, q') has
/// entries i = 128 u + 8 g + 2 q' + {0, 1} in sum[u][0, 1], and those 64 later in sum[u][2, 3].
/// Called by whole warps.
template <int kTiles>
__device__ inline void correlate(float (&sum)[kTiles][4], const unsigned short* p,
                                 const unsigned short* q) {
  const int lane = threadIdx.x % 32, g = lane / 4;
  // Rows of P in the order in which the instruction wants them: [0, 8) and [8, 16) of j < 8, again
  // of j >= 8, where a row is what the next row was before.
  unsigned p_row = shared_address(p) + unsigned(lane % 16 + lane / 16) * 16;
  // In the late copy, element s + 1 is that of s.
  const unsigned short* q_word =
      q + (g % 2) * Layout<kTiles>::kQ + Layout<kTiles>::kBefore + 2 * (lane % 4) - g + g % 2;
#pragma unroll 1
  for (int r = 0; r < kStepTile / 16; r++, p_row += 32, q_word += 16) {
    unsigned b[kTiles][2];
#pragma unroll
    for (int t = 0; t < kTiles; t++) {
      b[t][0] = *reinterpret_cast<const unsigned*>(q_word + t * kStepTile);
      b[t][1] = *reinterpret_cast<const unsigned*>(q_word + t * kStepTile + 8);
    }
#pragma unroll
    for (int v = 0; v < kTiles; v++) {
      unsigned a[4];
      load_matrices(a, p_row + v * kStepTile * 2);
#pragma unroll
      for (int t = 0; t <= v; t++) {
        multiply_add(sum[v - t], a, b[t][0], b[t][1]);
      }
    }
  }
}

/// Where the lane's entries (0, 1) of out_u are in a channel, in elements; (2, 3) are 64 further.
__device__ inline int place_of_sum(int u) {
  return u * kStepTile + int(threadIdx.x % 32 / 4) * 8 + int(threadIdx.x % 4) * 2;
}

// ---- between [time][channel] and [channel][time] ---------------------------------------------------------

__device__ inline uint4 eight_channels(const void* x, std::int64_t at) {
  return *reinterpret_cast<const uint4*>(static_cast<const bf16*>(x) + at);
}
/// x y, channel by channel, rounded.
__device__ inline uint4 product(const uint4& x, const uint4& y) {
  const auto both = [](unsigned one, unsigned other) {
    return pack(low_of(one) * low_of(other), high_of(one) * high_of(other));
  };
  return {both(x.x, y.x), both(x.y, y.y), both(x.z, y.z), both(x.w, y.w)};
}
/// to (+)= x y
__device__ inline void put_product(void* to, std::int64_t at, const uint4& x, const uint4& y,
                                   bool add) {
  uint4* const address = reinterpret_cast<uint4*>(static_cast<bf16*>(to) + at);
  if (!add) {
    *address = product(x, y);
    return;
  }
  const uint4 before = *address;
  const auto both = [](unsigned sum, unsigned one, unsigned other) {
    return pack(low_of(sum) + low_of(one) * low_of(other),
                high_of(sum) + high_of(one) * high_of(other));
  };
  *address = {both(before.x, x.x, y.x), both(before.y, x.y, y.y), both(before.z, x.z, y.z),
              both(before.w, x.w, y.w)};
}

/// What a thread moves: elements `first` and `first` + 1 of `row` of those in shared memory, of the
/// eight channels of a piece.
template <int kTiles>
struct Passage {
  int piece, row, first;
  __device__ explicit Passage(int number) {
    constexpr int kPairs = Layout<kTiles>::kSteps / 2;
    piece = number % kPieces;
    row = number / kPieces / kPairs;
    first = number / kPieces % kPairs * 2;
  }
  /// The time of its first or second step; the forward has time reversed.
  __device__ int time(int step, bool reversed) const {
    return reversed ? Layout<kTiles>::kSteps - 1 - first - step : first + step;
  }
};

template <int kTiles>
__device__ inline void store_passage(P<kTiles>& p, const Passage<kTiles>& passage,
                                     const uint4 (&rows)[2]) {
  unsigned words[8];
  words_of_channels(rows, words);
  unsigned short* const to = p.of(passage.row, passage.piece * 8) + passage.first;
#pragma unroll
  for (int k = 0; k < 8; k++) {
    *reinterpret_cast<unsigned*>(to + k * Layout<kTiles>::kP) = words[k];
  }
}
template <int kTiles>
__device__ inline void load_passage(P<kTiles>& p, const Passage<kTiles>& passage,
                                    uint4 (&rows)[2]) {
  unsigned words[8];
  const unsigned short* const from = p.of(passage.row, passage.piece * 8) + passage.first;
#pragma unroll
  for (int k = 0; k < 8; k++) {
    words[k] = *reinterpret_cast<const unsigned*>(from + k * Layout<kTiles>::kP);
  }
  rows[0] = row_of_step(words, 0);
  rows[1] = row_of_step(words, 1);
}
/// Into q, both copies.
template <int kTiles, int kRows>
__device__ inline void store_passage(Q<kTiles, kRows>& q, const Passage<kTiles>& passage,
                                     const unsigned (&words)[8]) {
  constexpr int kQ = Layout<kTiles>::kQ;
  unsigned short* const to =
      q.of(passage.row, passage.piece * 8) + Layout<kTiles>::kBefore + passage.first;
#pragma unroll
  for (int k = 0; k < 8; k++) {
    *reinterpret_cast<unsigned*>(to + k * 2 * kQ) = words[k];
    to[k * 2 * kQ + kQ + 1] = static_cast<unsigned short>(words[k]);
    to[k * 2 * kQ + kQ + 2] = static_cast<unsigned short>(words[k] >> 16);
  }
}

/// The zeros behind p and before q, and what else nothing is written to.
template <class S>
__device__ inline void clear(S& memory) {
  static_assert(sizeof(S) % 16 == 0);
  for (int i = threadIdx.x; i < int(sizeof(S) / 16); i += kMatrixThreads) {
    reinterpret_cast<uint4*>(&memory)[i] = uint4{};
  }
}

/// How the work is cut: `workers` blocks of threads share the rows of every block of channels.
struct LongConvWork {
  unsigned channel_blocks = 1;
  int workers = 1;
};

/// Calls f.template operator()<kTiles>(), the fewest that hold T steps.
template <class F>
void with_tiles(std::int64_t T, F f) {
  if (T <= kStepTile) {
    f.template operator()<1>();
  } else if (T <= 2 * kStepTile) {
    f.template operator()<2>();
  } else if (T <= 4 * kStepTile) {
    f.template operator()<4>();
  } else if (T <= 8 * kStepTile) {
    f.template operator()<8>();
  } else {
    f.template operator()<16>();
  }
}

}  // namespace farsight::cuda
