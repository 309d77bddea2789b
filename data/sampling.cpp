#include "data/sampling.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/draws.h"

namespace farsight {

std::vector<int> sample_distinct(PhiloxSequence& random, int n, int count) {
  check(count >= 0 && count <= n, "sample_distinct: count must be 0 to n={}, got {}", n, count);
  std::vector<std::int32_t> table(2 * static_cast<std::size_t>(SparseDeck::capacity(count)));
  std::vector<int> drawn(static_cast<std::size_t>(count));
  draw_distinct(random, n, count, SparseDeck(table.data(), count), drawn.data());
  return drawn;
}

PowerLawSlots::PowerLawSlots(int max_slots, double a) {
  check(max_slots >= 1, "PowerLawSlots: max_slots must be at least 1, got {}", max_slots);
  check(a >= 0 && a <= 1, "PowerLawSlots: a must be 0 to 1, got {}", a);
  sums_.push_back(0);
  for (int i = 1; i <= max_slots; i++) {
    const double weight = std::ldexp(std::pow(static_cast<double>(i), a - 1), 40);
    sums_.push_back(sums_.back() + static_cast<std::uint64_t>(std::max(1LL, std::llround(weight))));
  }
}

std::vector<int> PowerLawSlots::draw(PhiloxSequence& random, int slots, int count) const {
  check(slots <= max_slots(), "PowerLawSlots: slots must be at most {}, got {}", max_slots(),
        slots);
  check(count >= 0 && count <= slots, "PowerLawSlots: count must be 0 to slots={}, got {}", slots,
        count);
  std::vector<std::uint64_t> left(static_cast<std::size_t>(slots) + 1);
  for (int i = 1; i <= slots; i++) {
    left[static_cast<std::size_t>(i)] = tree_node(sums_.data(), i);
  }
  std::vector<int> drawn(static_cast<std::size_t>(count));
  draw_slots(random, sums_.data(), slots, count, left.data(), drawn.data());
  return drawn;
}

}  // namespace farsight
