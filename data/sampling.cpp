#include "data/sampling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <utility>

#include "core/check.h"

namespace farsight {
namespace {

std::size_t low_bit(std::size_t i) {
  return i & (~i + 1);
}

}  // namespace

std::vector<int> sample_distinct(PhiloxSequence& random, int n, int count) {
  check(count >= 0 && count <= n, "sample_distinct: count must be 0 to n={}, got {}", n, count);
  std::vector<int> deck(static_cast<std::size_t>(n));
  std::iota(deck.begin(), deck.end(), 0);
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); i++) {
    const std::size_t left = deck.size() - i;
    std::swap(deck[i], deck[i + random.below(static_cast<std::uint32_t>(left))]);
  }
  deck.resize(static_cast<std::size_t>(count));
  return deck;
}

PowerLawSlots::PowerLawSlots(int max_slots, double a) {
  check(max_slots >= 1, "PowerLawSlots: max_slots must be at least 1, got {}", max_slots);
  check(a >= 0 && a <= 1, "PowerLawSlots: a must be 0 to 1, got {}", a);
  const std::size_t slots = static_cast<std::size_t>(max_slots);
  weights_.resize(slots);
  tree_.resize(slots + 1);
  for (std::size_t i = 1; i <= slots; i++) {
    const double weight = std::ldexp(std::pow(static_cast<double>(i), a - 1), 40);
    weights_[i - 1] = static_cast<std::uint64_t>(std::max(1LL, std::llround(weight)));
  }
  for (std::size_t i = 1; i <= slots; i++) {
    tree_[i] += weights_[i - 1];
    const std::size_t parent = i + low_bit(i);
    if (parent <= slots) tree_[parent] += tree_[i];
  }
}

std::vector<int> PowerLawSlots::draw(PhiloxSequence& random, int slots, int count) const {
  check(slots <= max_slots(), "PowerLawSlots: slots must be at most {}, got {}", max_slots(),
        slots);
  check(count >= 0 && count <= slots, "PowerLawSlots: count must be 0 to slots={}, got {}", slots,
        count);
  const std::size_t size = static_cast<std::size_t>(slots);
  std::vector<std::uint64_t> left(tree_.begin(), tree_.begin() + slots + 1);
  std::uint64_t total = 0;
  for (std::size_t i = size; i > 0; i -= low_bit(i)) {
    total += left[i];
  }
  std::vector<int> drawn;
  drawn.reserve(static_cast<std::size_t>(count));
  while (drawn.size() < static_cast<std::size_t>(count)) {
    // The slot whose share of [0, total) holds the point; a slot already drawn has no share.
    std::uint64_t point = random.below64(total);
    std::size_t slot = 0;
    for (std::size_t step = std::bit_floor(size); step > 0; step /= 2) {
      if (slot + step <= size && left[slot + step] <= point) {
        slot += step;
        point -= left[slot];
      }
    }
    drawn.push_back(static_cast<int>(slot));
    total -= weights_[slot];
    for (std::size_t i = slot + 1; i <= size; i += low_bit(i)) {
      left[i] -= weights_[slot];
    }
  }
  return drawn;
}

}  // namespace farsight
