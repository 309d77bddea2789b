// The law by which an MQAR example follows from its address: written once, for data/mqar.h, which
// explains it, and for the kernel of ops/mqar_generate.h. Also read by nvcc.
//
// An example draws from one PhiloxSequence, in this order: keys, values, the slots of pairs if they
// are shuffled, the slots of queries; then the filler of every position still empty, ascending.
#pragma once

#include "core/draws.h"

namespace farsight {

/// Id 0 marks a position still empty; it is also the pad id. No key or value has it, and no filler
/// unless a task's filler is {kEmpty, kEmpty}: the variant whose empty positions stay 0.
inline constexpr std::int32_t kEmpty = 0;

/// Token ids, both ends included.
struct IdRange {
  std::int32_t first = 0;
  std::int32_t last = 0;
  FARSIGHT_HOST_DEVICE int size() const { return last - first + 1; }
  FARSIGHT_HOST_DEVICE bool contains(std::int32_t id) const { return first <= id && id <= last; }
  FARSIGHT_HOST_DEVICE std::int32_t draw(PhiloxSequence& random) const {
    return random.between(first, last);
  }
};

/// The ids of a task.
struct MqarIds {
  IdRange keys, values, filler;
};

/// What all examples of a cell have in common. Slot i of a region is the two tokens from
/// begin + 2i on. Without pairs: not an example but a gap, whose positions stay empty.
struct MqarLayout {
  int length = 0;
  int pairs = 0;
  int pair_begin = 0;
  int pair_slots = 0;
  int query_begin = 0;
  int query_slots = 0;
  /// Keys and values are drawn with replacement, and pairs have slots drawn; else pair j is in slot
  /// j, and no id comes twice.
  bool shuffled = false;
};

/// Whether draws without replacement find enough to draw from, in regions that follow one another.
/// `max_slots`: of the PowerLawSlots.
FARSIGHT_HOST_DEVICE inline bool can_draw(const MqarLayout& layout, const MqarIds& ids,
                                          int max_slots) {
  const int most_ids = ids.keys.size() < ids.values.size() ? ids.keys.size() : ids.values.size();
  return layout.pairs >= 1 && layout.pairs <= layout.pair_slots &&
         layout.pairs <= layout.query_slots && layout.query_slots <= max_slots &&
         (layout.shuffled ? 1 : layout.pairs) <= most_ids && layout.pair_begin >= 0 &&
         layout.pair_begin + 2 * layout.pair_slots <= layout.query_begin &&
         layout.query_begin + 2 * layout.query_slots <= layout.length;
}

/// An example (or a gap) and its place in a batch.
struct MqarEntry {
  std::uint64_t key = 0, item = 0;  ///< of its PhiloxSequence
  MqarLayout layout;
  std::int32_t first_token = 0;  ///< of the batch's flattened tokens
  std::int32_t first_label = 0;  ///< of the batch's labels; the example has one a pair
};

/// Memory for the draws of one example. Element j belongs to pair j.
struct MqarScratch {
  std::uint64_t* left = nullptr;                    ///< [query_slots + 1] weights, as a tree
  std::int32_t *keys = nullptr, *values = nullptr;  ///< [pairs]
  std::int32_t *pair_slots = nullptr, *query_slots = nullptr;  ///< [pairs]
  std::int32_t* asked = nullptr;  ///< [query_slots] the pair that a slot's query asks for, or -1
  std::int32_t* deck = nullptr;

  /// In 64-bit words.
  FARSIGHT_HOST_DEVICE static std::int64_t words(const MqarLayout& layout) {
    const std::int64_t pairs = layout.pairs, slots = layout.query_slots;
    const std::int64_t integers = 4 * pairs + slots + 2 * SparseDeck::capacity(layout.pairs);
    return slots + 1 + (integers + 1) / 2;
  }
  FARSIGHT_HOST_DEVICE MqarScratch(std::uint64_t* memory, const MqarLayout& layout) : left(memory) {
    keys = reinterpret_cast<std::int32_t*>(memory + layout.query_slots + 1);
    values = keys + layout.pairs;
    pair_slots = values + layout.pairs;
    query_slots = pair_slots + layout.pairs;
    asked = query_slots + layout.pairs;
    deck = asked + layout.query_slots;
  }
};

/// The share of worker `worker` of `workers` in what must be there before the draws. `slot_sums`:
/// PowerLawSlots::sums of the task.
FARSIGHT_HOST_DEVICE inline void prepare_draws(const MqarLayout& layout,
                                               const std::uint64_t* slot_sums,
                                               const MqarScratch& scratch, int worker,
                                               int workers) {
  for (int i = worker; i < layout.query_slots; i += workers) {
    scratch.left[i + 1] = tree_node(slot_sums, i + 1);
    scratch.asked[i] = -1;
  }
}

FARSIGHT_HOST_DEVICE inline void draw_ids(PhiloxSequence& random, const IdRange& range, int count,
                                          bool distinct, const SparseDeck& deck,
                                          std::int32_t* ids) {
  if (distinct) draw_distinct(random, range.size(), count, deck, ids);
  for (int i = 0; i < count; i++) {
    ids[i] = distinct ? range.first + ids[i] : range.draw(random);
  }
}

/// Draws all of an example but its filler.
FARSIGHT_HOST_DEVICE inline void draw_pairs(const MqarLayout& layout, const MqarIds& ids,
                                            const std::uint64_t* slot_sums,
                                            const MqarScratch& scratch, PhiloxSequence& random) {
  const SparseDeck deck(scratch.deck, layout.pairs);
  draw_ids(random, ids.keys, layout.pairs, !layout.shuffled, deck, scratch.keys);
  draw_ids(random, ids.values, layout.pairs, !layout.shuffled, deck, scratch.values);
  if (layout.shuffled) {
    draw_distinct(random, layout.pair_slots, layout.pairs, deck, scratch.pair_slots);
  } else {
    for (int j = 0; j < layout.pairs; j++) {
      scratch.pair_slots[j] = j;
    }
  }
  draw_slots(random, slot_sums, layout.query_slots, layout.pairs, scratch.left,
             scratch.query_slots);
}

/// The share of worker `worker` of `workers` in putting pairs and queries into `tokens`, which are
/// all empty, and in noting which slot asks for which pair.
FARSIGHT_HOST_DEVICE inline void place_pairs(const MqarLayout& layout, const MqarScratch& scratch,
                                             std::int32_t* tokens, int worker, int workers) {
  for (int j = worker; j < layout.pairs; j += workers) {
    const int pair = layout.pair_begin + 2 * scratch.pair_slots[j];
    const int query = layout.query_begin + 2 * scratch.query_slots[j];
    tokens[pair] = scratch.keys[j];
    tokens[pair + 1] = scratch.values[j];
    tokens[query] = scratch.keys[j];
    scratch.asked[scratch.query_slots[j]] = j;
  }
}

}  // namespace farsight
