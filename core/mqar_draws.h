// The law by which an MQAR example follows from its address: written once, for data/mqar.h, which
// explains it, and for the kernel of ops/mqar_generate.h. Also read by nvcc.
//
// An example draws from one PhiloxSequence, in this order: keys, values, the slots of pairs if they
// are shuffled, the slots of queries; then the filler of every position still empty, ascending.
//
// A slot is a place for a pair or for its query (k and v: tokens of a key and of a value):
//
//                       pair                  query
//   bare                key.. value..         key.. empty..
//   with separators     10 key.. 11 value.. 10    10 key.. 11 12.. 10
//
// Value token j is predicted from the token before its place in the query's slot.
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

/// Ids of the tokens that frame pairs and queries.
inline constexpr std::int32_t kSeparatorId = 10;
inline constexpr std::int32_t kValueSeparatorId = 11;  ///< between key and value
inline constexpr std::int32_t kPlaceholderId = 12;     ///< in a query, for each token of its value

/// What all examples of a cell have in common. Slot i of a region begins at begin + i * slot().
/// Without pairs: not an example but a gap, whose positions stay empty.
struct MqarLayout {
  int length = 0;
  int pairs = 0;
  int pair_begin = 0;
  int pair_slots = 0;
  int query_begin = 0;
  int query_slots = 0;
  int key_length = 1;
  int value_length = 1;
  /// Pairs that nobody asks for, after the others: decoy j's key ends like pair j's. 0 or `pairs`.
  int decoys = 0;
  /// How often the context holds all pairs, each time with values of their own, and how many tokens
  /// it is from one time to the next.
  int sections = 1;
  int section_length = 0;
  bool shuffled = false;            ///< pairs have slots drawn; else pair j is in slot j
  bool repeats = false;             ///< ids are drawn with replacement; else none comes twice
  bool separators = false;          ///< slots are framed
  bool separator_label = false;     ///< the token that closes a query is to be predicted, too
  bool shared_last_key = false;     ///< every key ends with the last token of pair 0's
  bool consecutive_values = false;  ///< a pair's values in sections 1, 2, ... are v + 1, v + 2, ...

  FARSIGHT_HOST_DEVICE int slot() const { return key_length + value_length + (separators ? 3 : 0); }
  FARSIGHT_HOST_DEVICE int key_offset() const { return separators ? 1 : 0; }
  FARSIGHT_HOST_DEVICE int value_offset() const { return key_length + (separators ? 2 : 0); }
  /// Pairs in one section of the context.
  FARSIGHT_HOST_DEVICE int stored() const { return pairs + decoys; }
  FARSIGHT_HOST_DEVICE int labels_per_pair() const {
    return value_length + (separator_label ? 1 : 0);
  }
  FARSIGHT_HOST_DEVICE int labels() const { return pairs * labels_per_pair(); }
  FARSIGHT_HOST_DEVICE int key_tokens() const { return stored() * key_length; }
  FARSIGHT_HOST_DEVICE int value_tokens() const { return sections * stored() * value_length; }
  FARSIGHT_HOST_DEVICE int values_drawn() const {
    return consecutive_values ? stored() * value_length : value_tokens();
  }
  /// Of one draw without replacement at most.
  FARSIGHT_HOST_DEVICE int most_distinct() const {
    if (repeats) return shuffled ? stored() : 1;
    return key_tokens() > values_drawn() ? key_tokens() : values_drawn();
  }
};

/// Whether draws without replacement find enough to draw from, in regions that follow one another.
/// `max_slots`: of the PowerLawSlots.
FARSIGHT_HOST_DEVICE inline bool can_draw(const MqarLayout& layout, const MqarIds& ids,
                                          int max_slots) {
  const int keys = layout.repeats ? 1 : layout.key_tokens();
  const int values = layout.repeats ? 1 : layout.values_drawn();
  const int pairs_end = layout.pair_begin + (layout.sections - 1) * layout.section_length +
                        layout.slot() * layout.pair_slots;
  return layout.pairs >= 1 && layout.key_length >= 1 && layout.value_length >= 1 &&
         (layout.decoys == 0 || layout.decoys == layout.pairs) && layout.sections >= 1 &&
         layout.stored() <= layout.pair_slots && layout.pairs <= layout.query_slots &&
         layout.query_slots <= max_slots && keys <= ids.keys.size() &&
         values <= ids.values.size() && layout.pair_begin >= 0 && pairs_end <= layout.query_begin &&
         (layout.sections == 1 || layout.slot() * layout.pair_slots <= layout.section_length) &&
         layout.query_begin + layout.slot() * layout.query_slots <= layout.length;
}

/// An example (or a gap) and its place in a batch.
struct MqarEntry {
  std::uint64_t key = 0, item = 0;  ///< of its PhiloxSequence
  MqarLayout layout;
  std::int32_t first_token = 0;  ///< of the batch's flattened tokens
  std::int32_t first_label = 0;  ///< of the batch's labels; it has layout.labels()
};

/// Memory for the draws of one example.
struct MqarScratch {
  std::uint64_t* left = nullptr;        ///< [query_slots + 1] weights, as a tree
  std::int32_t* keys = nullptr;         ///< [stored, key_length]
  std::int32_t* values = nullptr;       ///< [sections, stored, value_length]
  std::int32_t* pair_slots = nullptr;   ///< [stored]
  std::int32_t* query_slots = nullptr;  ///< [pairs]
  std::int32_t* asked = nullptr;  ///< [query_slots] the pair that a slot's query asks for, or -1
  std::int32_t* deck = nullptr;

  /// In 64-bit words.
  FARSIGHT_HOST_DEVICE static std::int64_t words(const MqarLayout& layout) {
    const std::int64_t slots = layout.query_slots;
    const std::int64_t integers = std::int64_t{layout.key_tokens()} + layout.value_tokens() +
                                  layout.stored() + layout.pairs + slots +
                                  2 * SparseDeck::capacity(layout.most_distinct());
    return slots + 1 + (integers + 1) / 2;
  }
  FARSIGHT_HOST_DEVICE MqarScratch(std::uint64_t* memory, const MqarLayout& layout) : left(memory) {
    keys = reinterpret_cast<std::int32_t*>(memory + layout.query_slots + 1);
    values = keys + layout.key_tokens();
    pair_slots = values + layout.value_tokens();
    query_slots = pair_slots + layout.stored();
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

/// What noise makes of the draws of keys and values.
FARSIGHT_HOST_DEVICE inline void apply_noise(const MqarLayout& layout, const MqarScratch& scratch) {
  const int k = layout.key_length;
  for (int j = 1; j < layout.stored() && layout.shared_last_key; j++) {
    scratch.keys[j * k + k - 1] = scratch.keys[k - 1];
  }
  for (int j = 0; j < layout.decoys; j++) {
    scratch.keys[(layout.pairs + j) * k + k - 1] = scratch.keys[j * k + k - 1];
  }
  const int drawn = layout.values_drawn();
  for (int i = drawn; i < layout.value_tokens(); i++) {
    scratch.values[i] = scratch.values[i - drawn] + 1;
  }
}

/// Draws all of an example but its filler.
FARSIGHT_HOST_DEVICE inline void draw_pairs(const MqarLayout& layout, const MqarIds& ids,
                                            const std::uint64_t* slot_sums,
                                            const MqarScratch& scratch, PhiloxSequence& random) {
  const SparseDeck deck(scratch.deck, layout.most_distinct());
  draw_ids(random, ids.keys, layout.key_tokens(), !layout.repeats, deck, scratch.keys);
  draw_ids(random, ids.values, layout.values_drawn(), !layout.repeats, deck, scratch.values);
  apply_noise(layout, scratch);
  if (layout.shuffled) {
    draw_distinct(random, layout.pair_slots, layout.stored(), deck, scratch.pair_slots);
  } else {
    for (int j = 0; j < layout.stored(); j++) {
      scratch.pair_slots[j] = j;
    }
  }
  draw_slots(random, slot_sums, layout.query_slots, layout.pairs, scratch.left,
             scratch.query_slots);
}

/// Puts a pair, or without values its query, into the slot at `to`.
FARSIGHT_HOST_DEVICE inline void place_slot(const MqarLayout& layout, const std::int32_t* key,
                                            const std::int32_t* value, std::int32_t* to) {
  for (int i = 0; i < layout.key_length; i++) {
    to[layout.key_offset() + i] = key[i];
  }
  const std::int32_t unknown = layout.separators ? kPlaceholderId : kEmpty;
  for (int i = 0; i < layout.value_length; i++) {
    to[layout.value_offset() + i] = value == nullptr ? unknown : value[i];
  }
  if (layout.separators) {
    to[0] = kSeparatorId;
    to[layout.value_offset() - 1] = kValueSeparatorId;
    to[layout.slot() - 1] = kSeparatorId;
  }
}

/// The share of worker `worker` of `workers` in putting pairs and queries into `tokens`, which are
/// all empty, and in noting which slot asks for which pair.
FARSIGHT_HOST_DEVICE inline void place_pairs(const MqarLayout& layout, const MqarScratch& scratch,
                                             std::int32_t* tokens, int worker, int workers) {
  const int stored = layout.stored();
  for (int i = worker; i < layout.sections * stored; i += workers) {
    const int begin = layout.pair_begin + i / stored * layout.section_length +
                      layout.slot() * scratch.pair_slots[i % stored];
    place_slot(layout, scratch.keys + i % stored * layout.key_length,
               scratch.values + i * layout.value_length, tokens + begin);
  }
  for (int j = worker; j < layout.pairs; j += workers) {
    const int begin = layout.query_begin + layout.slot() * scratch.query_slots[j];
    place_slot(layout, scratch.keys + j * layout.key_length, nullptr, tokens + begin);
    scratch.asked[scratch.query_slots[j]] = j;
  }
}

/// Filler for every position still empty, ascending.
inline void fill_empty(const IdRange& filler, PhiloxSequence& random, std::int32_t* tokens,
                       int length) {
  for (int i = 0; i < length; i++) {
    if (tokens[i] == kEmpty) tokens[i] = filler.draw(random);
  }
}

/// Label `index` < labels_per_pair() of the query in slot `slot`.
struct MqarLabel {
  std::int32_t row = 0;  ///< whose logits are scored: the position before the token's
  std::int32_t target = 0;
};
FARSIGHT_HOST_DEVICE inline MqarLabel label_at(const MqarLayout& layout, const MqarScratch& scratch,
                                               int slot, int index) {
  const std::int32_t* value = scratch.values + scratch.asked[slot] * layout.value_length;
  return {layout.query_begin + layout.slot() * slot + layout.value_offset() + index - 1,
          index < layout.value_length ? value[index] : kSeparatorId};
}

}  // namespace farsight
