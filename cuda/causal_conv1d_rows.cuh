// Rows of the long convolution on tensor cores, cut into slots, blocks and tiles of time, and how
// eight channels of a slot pass from and to global memory.
//
// 16 slots make a block, 8 blocks a tile. Slot and time are the same unless rows are packed; then every
// sequence begins with a block of its own (`plan`), so that a product of blocks belongs to one sequence
// or does not exist. Slots below 0 are the history.
#pragma once

#include "cuda/causal_conv1d.cuh"

namespace farsight::cuda {

inline constexpr int kBlock = 16;
inline constexpr int kTileBlocks = 8;
inline constexpr int kTileSlots = kBlock * kTileBlocks;
static_assert(kTileSlots == kConv1dTile);
inline constexpr int kTileBytes = 2 * kTileSlots;  // of a channel
inline constexpr int kAlways = -(1 << 24);

/// How the work is cut: `workers` blocks of threads share the rows of every block of channels.
struct MatrixWork {
  unsigned channel_blocks = 1;
  int workers = 1;
  bool together = true;  // eight channels move at once
};

/// A packed row's entry of a.plan; one before the first block has the number of blocks.
struct PlannedBlock {
  int time,
      start_and_count;  // start: first block of its sequence, times 32; count: its slots in use

  __device__ int count() const { return start_and_count & 31; }
  __device__ int start() const { return start_and_count >> 5; }
};

/// What an instance knows of its rows: sequences, or packed ones; without a history, and eight channels
/// move together. `any` asks.
enum class Rows { plain, packed, any };
template <Rows kRows>
inline constexpr bool kAny = kRows == Rows::any;
template <Rows kRows>
__device__ inline bool is_packed(const Conv1dArgs& a) {
  return kAny<kRows> ? a.plan != nullptr : kRows == Rows::packed;
}

template <Rows kRows>
class Row {
 public:
  __device__ Row(const Conv1dArgs& a, int b) : a_(&a), b_(b) {
    blocks_ = (int(a.T) + kBlock - 1) / kBlock;
    if (is_packed<kRows>(a)) {
      plan_ = reinterpret_cast<const PlannedBlock*>(a.plan) + b * (a.T + 1) + 1;
      blocks_ = b < a.B ? plan_[-1].time : 0;
    }
  }
  __device__ int tiles() const { return (blocks_ + kTileBlocks - 1) / kTileBlocks; }

  /// The time of an even slot, and how many of it and the next are in use.
  __device__ int time_of(int slot, int* count) const {
    if (kAny<kRows> && slot < 0) {
      const bool reaches =
          a_->history != nullptr && (a_->plan == nullptr || a_->position[b_ * a_->T] != 0);
      *count = reaches ? 2 : 0;  // what lies before the history is seen when it is read
      return slot;
    }
    if (!is_packed<kRows>(*a_)) {
      *count = int(a_->T) - slot;
      return slot;
    }
    if (slot / kBlock >= blocks_) {
      *count = 0;
      return 0;
    }
    const PlannedBlock block = plan_[slot / kBlock];
    *count = block.count() - slot % kBlock;
    return block.time + slot % kBlock;
  }
  /// First block of a block's sequence.
  __device__ int start_of(int block) const {
    if (!is_packed<kRows>(*a_) || block < 0 || block >= blocks_) return kAlways;
    return plan_[block].start();
  }

 private:
  const Conv1dArgs* a_;
  int b_, blocks_;
  const PlannedBlock* plan_ = nullptr;
};

/// The tiles of some rows, in order: from `first` of every row on (its history has negative ones) to
/// `beyond` tiles behind its last.
template <Rows kRows>
struct Cursor {
  Row<kRows> row;
  int b, tile, end, first, beyond;

  __device__ Cursor(const Conv1dArgs& a, int begin, int rows_end, int first_tile, int tiles_beyond)
      : row(a, begin),
        b(begin),
        tile(first_tile),
        end(rows_end),
        first(first_tile),
        beyond(tiles_beyond) {}
  __device__ bool valid() const { return b < end; }
  __device__ void advance(const Conv1dArgs& a) {
    if (++tile < row.tiles() + beyond) return;
    b++;
    tile = first;
    row = Row<kRows>(a, b);
  }
};

/// A row of [B, T] times a stride, by one instruction: both are below 2^32.
__device__ inline std::int64_t offset_of(const Conv1dArgs& a, int b, int t, std::int64_t stride) {
  return std::int64_t(std::uint64_t(unsigned(b) * unsigned(a.T) + unsigned(t)) * unsigned(stride));
}

/// Eight channels from d on of two slots, of x (history behind 0) or of dy, to slots of this thread,
/// kStep apart; zeros where there is none.
template <Rows kRows, int kStep>
__device__ inline void copy_channels(uint4* to, const Conv1dArgs& a, bool together, bool x,
                                     const Row<kRows>& row, int b, int slot, int d) {
  int count;
  const int t = row.time_of(slot, &count);
  const std::int64_t stride = x ? a.x_stride : a.D;
  const bf16* from = static_cast<const bf16*>(x ? a.x : a.dy) + d;
  if (!kAny<kRows> || t >= 0) from += offset_of(a, b, t, stride);
#pragma unroll
  for (int s = 0; s < 2; s++) {
    bool there = s < count && d < a.D;
    if (kAny<kRows> && t < 0) {
      there = there && x && t + s > -a.K;
      if (there) {
        from = static_cast<const bf16*>(a.history) +
               (std::int64_t(b) * (a.K - 1) + a.K - 1 + t + s) * a.D + d;
      }
    }
    if (!kAny<kRows> || together) {
      copy_ahead<16>(to + s * kStep, from, there);
    } else {
      Several<bf16, 8> raw = {};
      for (int k = 0; k < 8; k++) {
        if (there && d + k < a.D) raw.elements[k] = from[k];
      }
      to[s * kStep] = __builtin_bit_cast(uint4, raw);
    }
    from += stride;
  }
}

/// Eight channels to global memory; `left`: channels that there are.
template <Rows kRows>
__device__ inline void put_channels(bf16* to, const uint4& row, int left, bool together, bool add) {
  const auto packed = __builtin_bit_cast(Several<bf16, 8>, row);
  if ((!kAny<kRows> || together) && !add) {
    *reinterpret_cast<uint4*>(to) = row;
  } else if (!kAny<kRows> || together) {
    float x[8];
#pragma unroll
    for (int k = 0; k < 8; k++) {
      x[k] = to_float(packed.elements[k]);
    }
    put_elements<8>(to, x, true);
  } else {
#pragma unroll
    for (int k = 0; k < 8; k++) {
      if (k < left) put(to + k, to_float(packed.elements[k]), add);
    }
  }
}

}  // namespace farsight::cuda
