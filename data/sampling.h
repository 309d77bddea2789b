// Draws without replacement, exact and in integers: the same numbers on every machine.
#pragma once

#include <cstdint>
#include <vector>

#include "core/philox.h"

namespace farsight {

/// `count` different integers of [0, n), every ordered choice equally likely: a partial
/// Fisher-Yates shuffle that remembers what it moved, O(count) time and memory. 0 <= count <= n.
std::vector<int> sample_distinct(PhiloxSequence& random, int n, int count);

/// Slots drawn one after another without replacement with the probabilities
///
///     p_i = i^(a-1) / sum over the slots j that are left of j^(a-1),   i = 1 .. S,
///
/// the query positions of MQAR (Arora et al., "Zoology: measuring and improving recall in efficient
/// language models"). a = 1 is uniform; a = 0.01 puts 29 % of the mass on the first of 16 slots and
/// 16 % on the first of 255.
///
/// The weights are rounded to multiples of 2^-40 once and drawn from exactly. They do not depend on
/// S, and neither do their sums, so one table serves every S up to `max_slots`.
class PowerLawSlots {
 public:
  explicit PowerLawSlots(int max_slots, double a = 0.01);

  int max_slots() const { return static_cast<int>(sums_.size()) - 1; }
  /// 2^40 i^(a-1), rounded, of the slot with the 0-based index i - 1.
  std::uint64_t weight(int slot) const {
    const std::size_t at = static_cast<std::size_t>(slot);
    return sums_[at + 1] - sums_[at];
  }
  /// [max_slots + 1]: the weights of the first 0, 1, 2, ... slots together.
  const std::vector<std::uint64_t>& sums() const { return sums_; }

  /// `count` of the first `slots` slots as 0-based indices, in the order drawn:
  /// O(slots + count log slots). 0 <= count <= slots <= max_slots.
  std::vector<int> draw(PhiloxSequence& random, int slots, int count) const;

 private:
  std::vector<std::uint64_t> sums_;
};

}  // namespace farsight
