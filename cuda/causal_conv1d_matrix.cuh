// What the tensor core kernels of the long convolution share (causal_conv1d_matrix.cu, forward and dx;
// causal_conv1d_matrix_dw.cu): how the work is cut, and how it passes through shared memory.
//
// Columns: a sequence, or a segment of one; eight of them stand side by side in a product. Shared
// memory holds planes, one a pair of channels: words [time][column] of both channels. In a plane the
// even times of eight come before the odd ones, which keeps every access free of bank conflicts.
#pragma once

#include "cuda/causal_conv1d.cuh"

namespace farsight::cuda {

inline constexpr int kBlock = 16;     // of time: the edge of a product's blocks
inline constexpr int kDiagonals = 9;  // of blocks, that kMatrixTaps reach
inline constexpr int kMatrixTaps = 128;
inline constexpr int kSteps = 2 * kBlock;  // of time in shared memory at once
inline constexpr int kColumns = 8;
inline constexpr int kPlane = kSteps * kColumns + 2;  // words; the 2 spreads planes over the banks
inline constexpr int kMatrixThreads = 512;

/// Where (time, column) is in a plane.
__device__ inline int in_plane(int t, int column) {
  return ((t & ~7) + (t & 1) * 4 + (t & 7) / 2) * kColumns + column;
}

/// sum += a b: m16n8k16, a row-major [16, 16], b column-major [16, 8].
__device__ inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b0,
                                    unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ inline unsigned pack(float low, float high) {
  return unsigned(from_float<bf16>(low).bits) | unsigned(from_float<bf16>(high).bits) << 16;
}
__device__ inline float low_of(unsigned word) {
  return __uint_as_float(word << 16);
}
__device__ inline float high_of(unsigned word) {
  return __uint_as_float(word & 0xffff0000u);
}
/// The halves of two words of a plane that belong to one channel of its pair.
__device__ inline unsigned of_channel(unsigned first, unsigned second, int channel) {
  return __byte_perm(first, second, channel == 0 ? 0x5410 : 0x7632);
}

/// How the work is cut: a column is `length` steps of a sequence (for dx in reversed time).
struct Columns {
  int length, segments;     // steps of a column, columns of a sequence
  int steps;                // of a sequence: T, or T + K - 1 where dx reaches the history
  unsigned channel_blocks;  // of a block's channels
  int groups;               // of kColumns columns

  Columns(std::int64_t B, std::int64_t T, std::int64_t D, int channels) {
    // Long columns read little twice; but every multiprocessor needs one or two of them.
    int longest = 512;
    channel_blocks = unsigned((D + channels - 1) / channels);
    steps = int(T);
    do {
      segments = (steps + longest - 1) / longest;
      length = ((steps + segments - 1) / segments + kSteps - 1) / kSteps * kSteps;
      groups = int((B * segments + kColumns - 1) / kColumns);
      longest /= 2;
    } while (longest >= kMatrixTaps && unsigned(groups) * channel_blocks < 264);
  }
};

/// One of them.
struct Column {
  int b, segment;  // row, and its step 0

  __device__ Column(const Columns& cut, int column) {
    b = column / cut.segments;
    segment = (column - b * cut.segments) * cut.length;
  }
};

/// Whether the kernels of this file serve these arguments.
bool suits_matrix(const Conv1dArgs& a);
void matrix_conv1d_forward(const Conv1dArgs& a);
void matrix_conv1d_dx(const Conv1dArgs& a);
void matrix_conv1d_dw(const Conv1dArgs& a);

/// Eight channels (four planes from `planes` on) of one (time, column).
__device__ inline void store_planes(unsigned* planes, int at, const uint4& x) {
  planes[at] = x.x;
  planes[at + kPlane] = x.y;
  planes[at + 2 * kPlane] = x.z;
  planes[at + 3 * kPlane] = x.w;
}
__device__ inline uint4 load_planes(const unsigned* planes, int at) {
  return {planes[at], planes[at + kPlane], planes[at + 2 * kPlane], planes[at + 3 * kPlane]};
}

// ---- from global memory, two stages ahead ------------------------------------------------------------
//
// A thread's pieces of 16 bytes are slots [stage][piece][thread].

inline constexpr int kAhead = 2;

/// Eight channels of x at a time of row b.
__device__ inline void copy_x(uint4* to, const Conv1dArgs& a, int b, int t, int d) {
  const bf16* x = static_cast<const bf16*>(a.x);
  bool there = d < a.D && b < a.B && t < a.T;
  if (t >= 0) {
    x += there ? (b * a.T + t) * a.x_stride + d : 0;
  } else {
    there = there && a.history != nullptr && t > -a.K;
    if (there) {
      x = static_cast<const bf16*>(a.history) + (b * (a.K - 1) + a.K - 1 + t) * a.D + d;
    }
  }
  copy_ahead<16>(to, x, there);
}
/// Eight channels of dy or pre.
__device__ inline void copy_row(uint4* to, const Conv1dArgs& a, const void* rows, int b, int t,
                                int d) {
  const bool there = d < a.D && b < a.B && t >= 0 && t < a.T;
  const std::int64_t at = there ? (std::int64_t(b) * a.T + t) * a.D + d : 0;
  copy_ahead<16>(to, static_cast<const bf16*>(rows) + at, there);
}

__device__ inline unsigned gradient_pair(unsigned dy, unsigned pre) {
  return pack(low_of(dy) * silu_derivative(low_of(pre)),
              high_of(dy) * silu_derivative(high_of(pre)));
}
/// c = dy silu'(pre)
__device__ inline uint4 gradient_of(const uint4& dy, const uint4& pre) {
  return {gradient_pair(dy.x, pre.x), gradient_pair(dy.y, pre.y), gradient_pair(dy.z, pre.z),
          gradient_pair(dy.w, pre.w)};
}

}  // namespace farsight::cuda
