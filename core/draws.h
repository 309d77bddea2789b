// Draws without replacement on raw memory, for code that must draw alike on the host and on a GPU.
// What the draws are is said in data/sampling.h, their face on the host. Also read by nvcc.
#pragma once

#include "core/philox.h"

namespace farsight {

/// A deck of cards 0, 1, 2, ... in order, which remembers only the places that hold another card
/// than their own: an open-addressed table of places and cards.
class SparseDeck {
 public:
  /// Places the table must have so that `touched` of them stay easily found: a power of two.
  FARSIGHT_HOST_DEVICE static constexpr int capacity(int touched) {
    int places = 2;
    while (places < 2 * touched) {
      places *= 2;
    }
    return places;
  }

  /// `table`: 2 * capacity(touched) integers, uninitialised.
  FARSIGHT_HOST_DEVICE SparseDeck(std::int32_t* table, int touched)
      : mask_(capacity(touched) - 1), places_(table), cards_(table + mask_ + 1) {}

  /// Every card back to its own place.
  FARSIGHT_HOST_DEVICE void reset() const {
    for (int i = 0; i <= mask_; i++) {
      places_[i] = kFree;
    }
  }
  FARSIGHT_HOST_DEVICE std::int32_t card(std::int32_t place) const {
    const int at = find(place);
    return places_[at] == place ? cards_[at] : place;
  }
  /// Puts `card` at `place`; returns the card that was there.
  FARSIGHT_HOST_DEVICE std::int32_t exchange(std::int32_t place, std::int32_t card) const {
    const int at = find(place);
    const std::int32_t before = places_[at] == place ? cards_[at] : place;
    places_[at] = place;
    cards_[at] = card;
    return before;
  }

 private:
  static constexpr std::int32_t kFree = -1;

  /// Where `place` stands in the table, or would.
  FARSIGHT_HOST_DEVICE int find(std::int32_t place) const {
    const std::uint32_t mixed = static_cast<std::uint32_t>(place) * 0x9E3779B1u;
    int at = static_cast<int>(mixed >> 8) & mask_;
    while (places_[at] != kFree && places_[at] != place) {
      at = (at + 1) & mask_;
    }
    return at;
  }

  int mask_;
  std::int32_t *places_, *cards_;
};

/// `count` different integers of [0, n) into `drawn`; `deck` has room for `count` touched places.
FARSIGHT_HOST_DEVICE inline void draw_distinct(PhiloxSequence& random, int n, int count,
                                               const SparseDeck& deck, std::int32_t* drawn) {
  deck.reset();
  for (int i = 0; i < count; i++) {
    const int place = i + static_cast<int>(random.below(static_cast<std::uint32_t>(n - i)));
    drawn[i] = deck.exchange(place, deck.card(i));  // nobody looks at place i again
  }
}

/// Node i >= 1 of the Fenwick tree over weights whose sum over the first k is sums[k]: the sum of
/// the lowbit(i) weights up to the i-th.
FARSIGHT_HOST_DEVICE inline std::uint64_t tree_node(const std::uint64_t* sums, int i) {
  return sums[i] - sums[i - (i & -i)];
}

/// `count` of the slots 0 .. slots - 1 into `drawn`, each with a probability in proportion to its
/// weight among those left. `left`: [slots + 1], of which left[i] = tree_node(sums, i) for i >= 1;
/// used up.
FARSIGHT_HOST_DEVICE inline void draw_slots(PhiloxSequence& random, const std::uint64_t* sums,
                                            int slots, int count, std::uint64_t* left,
                                            std::int32_t* drawn) {
  int half = 1;
  while (2 * half <= slots) {
    half *= 2;
  }
  std::uint64_t total = sums[slots];
  for (int i = 0; i < count; i++) {
    // The slot whose share of [0, total) holds the point; a slot already drawn has no share.
    std::uint64_t point = random.below64(total);
    int slot = 0;
    for (int step = half; step > 0; step /= 2) {
      if (slot + step <= slots && left[slot + step] <= point) {
        slot += step;
        point -= left[slot];
      }
    }
    drawn[i] = slot;
    const std::uint64_t weight = sums[slot + 1] - sums[slot];
    total -= weight;
    for (int k = slot + 1; k <= slots; k += k & -k) {
      left[k] -= weight;
    }
  }
}

}  // namespace farsight
