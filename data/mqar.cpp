#include "data/mqar.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/check.h"
#include "data/other_tasks.h"
#include "data/task_grid.h"

namespace farsight {
namespace {

std::uint64_t stream(Split split) {
  switch (split) {
    case Split::train:
      return hash_name("mqar/train");
    case Split::valid:
      return hash_name("mqar/valid");
    case Split::test:
      return hash_name("mqar/test");
  }
  fail(ExitCode::internal, "mqar: no such split");
}

/// Memory for draws: of one thread, kept.
std::uint64_t* scratch_memory(const MqarLayout& layout) {
  thread_local std::vector<std::uint64_t> memory;
  const auto words = static_cast<std::size_t>(MqarScratch::words(layout));
  if (memory.size() < words) memory.resize(words);
  return memory.data();
}

std::vector<PairPlaces> places_of(const MqarLayout& layout, const MqarScratch& drawn) {
  std::vector<PairPlaces> places;
  for (int i = 0; i < layout.sections * layout.stored(); i++) {
    const int begin = layout.pair_begin + i / layout.stored() * layout.section_length +
                      layout.slot() * drawn.pair_slots[i % layout.stored()];
    const bool asked = i < layout.pairs;
    const int query =
        asked ? layout.query_begin + layout.slot() * drawn.query_slots[i] + layout.key_offset()
              : -1;
    places.push_back({begin + layout.key_offset(), begin + layout.value_offset(), query});
  }
  return places;
}

/// Labels in order, as write(index, label, pair).
template <class Write>
void for_each_label(const MqarLayout& layout, const MqarScratch& drawn, const Write& write) {
  std::size_t index = 0;
  for (int slot = 0; slot < layout.query_slots; slot++) {
    if (drawn.asked[slot] < 0) continue;
    for (int i = 0; i < layout.labels_per_pair(); i++) {
      const int pair = i < layout.value_length ? drawn.asked[slot] : kNoPair;
      write(index++, label_at(layout, drawn, slot, i), pair);
    }
  }
}

/// The draws of an entry and the tokens that follow from them, all of them.
MqarScratch make_tokens(const MqarTask& task, const MqarEntry& entry, std::int32_t* tokens) {
  const MqarLayout& layout = entry.layout;
  const MqarScratch drawn(scratch_memory(layout), layout);
  const std::uint64_t* slot_sums = task.query_slots.sums().data();
  PhiloxSequence random(entry.key, entry.item);
  std::fill_n(tokens, layout.length, kEmpty);
  prepare_draws(layout, slot_sums, drawn, 0, 1);
  draw_pairs(layout, task.ids(), slot_sums, drawn, random);
  place_pairs(layout, drawn, tokens, 0, 1);
  fill_empty(task.filler, random, tokens, layout.length);
  return drawn;
}

Example example_of(const MqarLayout& layout, const MqarScratch& drawn,
                   std::vector<std::int32_t> tokens) {
  Example example{.tokens = std::move(tokens), .labels = {}, .pairs = places_of(layout, drawn)};
  example.labels.reserve(static_cast<std::size_t>(layout.labels()));
  for_each_label(layout, drawn, [&](std::size_t, const MqarLabel& label, int pair) {
    example.labels.push_back({label.row + 1, label.target, pair});
  });
  return example;
}

}  // namespace

std::string cell_name(const Cell& cell) {
  return fmt::format("{}x{}", cell.length, cell.pairs);
}

std::uint64_t split_seed(Split split, std::uint64_t seed, std::size_t place) {
  switch (split) {
    case Split::train:
      return seed + place;
    case Split::valid:
      return 1234 + place;
    case Split::test:
      return 4567 + place;
  }
  fail(ExitCode::internal, "mqar: no such split");
}

bool follows_layout(const MqarTask& task) {
  return task.description.kind == TaskKind::recall;
}

int labels_per_example(const MqarTask& task, const Cell& cell, Split split) {
  return follows_layout(task) ? layout_of(task, cell, split).labels() : other_labels(task, cell);
}

MqarLayout layout_of(const MqarTask& task, const Cell& cell, Split split) {
  const TaskDescription& d = task.description;
  check(follows_layout(task), "layout_of: task {} has no layout", task.name);
  const bool decoys = d.noise == Noise::equal_pairs;
  MqarLayout layout{
      .length = cell.length,
      .pairs = cell.pairs,
      .key_length = d.key_length,
      .value_length = d.value_length,
      .decoys = decoys ? cell.pairs : 0,
      .shuffled = decoys || d.placement == Placement::shuffle,
      .repeats = d.sampling == IdSampling::repeated,
      .separators = d.separators,
      .separator_label = d.separators && task.separator_target && split == Split::train,
      .shared_last_key = d.noise == Noise::shared_last_key,
      .consecutive_values = d.noise == Noise::sections_released};
  const int half = cell.length / 2;
  const int packed = layout.slot() * layout.stored();
  layout.pair_slots = layout.stored();
  layout.query_begin = half;
  switch (d.placement) {
    case Placement::standard:
      layout.query_begin = packed;
      break;
    case Placement::last:
      layout.pair_begin = half - packed;
      break;
    case Placement::shuffle:
      layout.pair_slots = half / layout.slot();
      break;
  }
  if (in_sections(d)) {
    layout.sections = 4;
    layout.section_length = cell.length / 8;
    layout.query_begin = half;
  }
  layout.query_slots = (cell.length - layout.query_begin) / layout.slot();
  return layout;
}

MqarEntry entry_of(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                   std::uint64_t sample) {
  check(cell < task.cells.size(), "generate: cell must be below {}, got {}", task.cells.size(),
        cell);
  check(sample >> 32 == 0, "generate: sample must be below 2^32, got {}", sample);
  const std::size_t place = task.places[cell];
  // The authors test position robustness with one seed for all cells.
  const std::size_t seeded = in_sections(task.description) ? 0 : place;
  // The split names the stream, so that no training seed can bring up test data; the cell is part
  // of the item, so that seed 43 does not meet the numbers of seed 42 one cell further.
  MqarEntry entry{.key = philox_key(split_seed(split, seed, seeded), stream(split)),
                  .item = (std::uint64_t{place} << 32) | sample,
                  .layout = {}};
  if (follows_layout(task)) {
    entry.layout = layout_of(task, task.cells[cell], split);
  } else {
    entry.layout.length = task.cells[cell].length;
    entry.layout.pairs = task.cells[cell].pairs;
  }
  return entry;
}

Example generate(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                 std::uint64_t sample) {
  const MqarEntry entry = entry_of(task, split, seed, cell, sample);
  if (!follows_layout(task)) {
    PhiloxSequence random(entry.key, entry.item);
    return generate_other(task, task.cells[cell], random);
  }
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(entry.layout.length));
  const MqarScratch drawn = make_tokens(task, entry, tokens.data());
  return example_of(entry.layout, drawn, std::move(tokens));
}

void generate_into(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                   std::uint64_t sample, const ExampleRoom& room) {
  if (!follows_layout(task)) {
    const Example example = generate(task, split, seed, cell, sample);
    std::copy(example.tokens.begin(), example.tokens.end(), room.tokens);
    for (std::size_t i = 0; i < example.labels.size(); i++) {
      room.label_rows[i] = example.labels[i].position - 1;
      room.targets[i] = example.labels[i].target;
      room.pairs[i] = example.labels[i].pair;
    }
    return;
  }
  const MqarEntry entry = entry_of(task, split, seed, cell, sample);
  const MqarScratch drawn = make_tokens(task, entry, room.tokens);
  for_each_label(entry.layout, drawn, [&](std::size_t i, const MqarLabel& label, int pair) {
    room.label_rows[i] = label.row;
    room.targets[i] = label.target;
    room.pairs[i] = pair;
  });
}

PairDraws draw_pairs_of(const MqarTask& task, const MqarLayout& layout, PhiloxSequence& random) {
  check(can_draw(layout, task.ids(), task.query_slots.max_slots()),
        "draw_pairs_of: task {} has not the ids or slots for length {} with {} pairs", task.name,
        layout.length, layout.pairs);
  const MqarScratch drawn(scratch_memory(layout), layout);
  const std::uint64_t* slot_sums = task.query_slots.sums().data();
  prepare_draws(layout, slot_sums, drawn, 0, 1);
  draw_pairs(layout, task.ids(), slot_sums, drawn, random);
  return {.keys = {drawn.keys, drawn.keys + layout.key_tokens()},
          .values = {drawn.values, drawn.values + layout.value_tokens()},
          .pair_slots = {drawn.pair_slots, drawn.pair_slots + layout.stored()},
          .query_slots = {drawn.query_slots, drawn.query_slots + layout.pairs}};
}

Example lay_out(const MqarLayout& layout, const PairDraws& draws) {
  const auto are = [](const auto& list, int count) {
    return list.size() == static_cast<std::size_t>(count);
  };
  check(are(draws.keys, layout.key_tokens()) && are(draws.values, layout.value_tokens()) &&
            are(draws.pair_slots, layout.stored()) && are(draws.query_slots, layout.pairs),
        "lay_out: keys, values and slots must be those of {} pairs, got {}, {}, {}, {}",
        layout.pairs, draws.keys.size(), draws.values.size(), draws.pair_slots.size(),
        draws.query_slots.size());
  const auto check_slots = [](std::vector<int> slots, int below, std::string_view what) {
    std::sort(slots.begin(), slots.end());
    const bool twice = std::adjacent_find(slots.begin(), slots.end()) != slots.end();
    check(!twice && slots.front() >= 0 && slots.back() < below,
          "lay_out: slots of {} must be different and below {}", what, below);
  };
  check_slots(draws.pair_slots, layout.pair_slots, "pairs");
  check_slots(draws.query_slots, layout.query_slots, "queries");
  const MqarScratch drawn(scratch_memory(layout), layout);
  std::copy(draws.keys.begin(), draws.keys.end(), drawn.keys);
  std::copy(draws.values.begin(), draws.values.end(), drawn.values);
  std::copy(draws.pair_slots.begin(), draws.pair_slots.end(), drawn.pair_slots);
  std::copy(draws.query_slots.begin(), draws.query_slots.end(), drawn.query_slots);
  std::fill_n(drawn.asked, layout.query_slots, -1);
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(layout.length), kEmpty);
  place_pairs(layout, drawn, tokens.data(), 0, 1);
  return example_of(layout, drawn, std::move(tokens));
}

}  // namespace farsight
