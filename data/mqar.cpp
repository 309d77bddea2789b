#include "data/mqar.h"

#include <algorithm>
#include <utility>

#include "core/check.h"

namespace farsight {
namespace {

constexpr std::int32_t kFillerOffset = 20;
constexpr int kMaxVocabulary = 1 << 30;  // V + kFillerOffset is still an id

bool admits(int length, int pairs) {
  return pairs >= 1 && pairs <= length / 4;
}

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

void sort_and_check_unique(std::vector<int>& numbers, const char* what) {
  std::sort(numbers.begin(), numbers.end());
  const auto twin = std::adjacent_find(numbers.begin(), numbers.end());
  if (twin != numbers.end()) fail(ExitCode::data, "the {} {} is listed twice", what, *twin);
}

}  // namespace

std::string_view placement_name(Placement placement) {
  switch (placement) {
    case Placement::standard:
      return "standard";
    case Placement::last:
      return "last";
    case Placement::shuffle:
      return "shuffle";
  }
  fail(ExitCode::internal, "mqar: no such placement");
}

int MqarTask::model_vocabulary() const {
  return std::max({keys.last, values.last, filler.last}) + 1;
}

std::vector<Cell> position_grid(std::vector<int> lengths, std::vector<int> pairs) {
  require(!lengths.empty() && !pairs.empty(), ExitCode::data,
          "a grid needs at least one length and one number of pairs, got {} and {}", lengths.size(),
          pairs.size());
  sort_and_check_unique(lengths, "length");
  sort_and_check_unique(pairs, "number of pairs");
  require(pairs.front() >= 1, ExitCode::data, "the number of pairs must be at least 1, got {}",
          pairs.front());
  for (const int length : lengths) {
    require(admits(length, pairs.front()), ExitCode::data,
            "length {} admits none of the numbers of pairs: the smallest, {}, needs a length of at "
            "least {} (pairs <= length/4)",
            length, pairs.front(), 4LL * pairs.front());
  }
  require(
      admits(lengths.back(), pairs.back()), ExitCode::data,
      "{} pairs fit none of the lengths: they need a length of at least {} (pairs <= length/4), "
      "and the longest is {}",
      pairs.back(), 4LL * pairs.back(), lengths.back());
  std::vector<Cell> cells;
  for (const int length : lengths) {
    for (const int count : pairs) {
      if (admits(length, count)) cells.push_back({length, count});
    }
  }
  return cells;
}

MqarTask make_position_task(Placement placement, int vocabulary, std::vector<Cell> cells) {
  require(!cells.empty(), ExitCode::data, "task {}: the grid has no cell",
          placement_name(placement));
  require(vocabulary >= 4 && vocabulary <= kMaxVocabulary, ExitCode::data,
          "task {}: the vocabulary must be 4 to {} ids, got {}", placement_name(placement),
          kMaxVocabulary, vocabulary);
  int most_pairs = 0;
  int most_slots = 0;
  for (const Cell& cell : cells) {
    require(admits(cell.length, cell.pairs), ExitCode::data,
            "task {}: a cell must have 1 to length/4 pairs, got length {} with {} pairs",
            placement_name(placement), cell.length, cell.pairs);
    most_pairs = std::max(most_pairs, cell.pairs);
    most_slots = std::max(most_slots, layout_of(placement, cell).query_slots);
  }
  const IdRange keys = {1, vocabulary / 2 - 1};
  const IdRange values = {vocabulary / 2, vocabulary - 1};
  require(placement == Placement::shuffle || most_pairs <= keys.size(), ExitCode::data,
          "task {}: {} pairs with different keys need a vocabulary of at least {} ids, got {} "
          "(ids 1 to {} are keys)",
          placement_name(placement), most_pairs, 2LL * (most_pairs + 1), vocabulary, keys.last);
  return {.name = std::string(placement_name(placement)),
          .placement = placement,
          .keys = keys,
          .values = values,
          .filler = {kFillerOffset, vocabulary + kFillerOffset - 1},
          .cells = std::move(cells),
          .query_slots = PowerLawSlots(most_slots)};
}

MqarTask paper_position_task(Placement placement) {
  return make_position_task(placement, 20'000,
                            position_grid({64, 128, 256, 512}, {1, 2, 4, 8, 16, 32, 64, 128}));
}

std::uint64_t split_seed(Split split, std::uint64_t seed, std::size_t cell) {
  switch (split) {
    case Split::train:
      return seed + cell;
    case Split::valid:
      return 1234 + cell;
    case Split::test:
      return 4567 + cell;
  }
  fail(ExitCode::internal, "mqar: no such split");
}

int labels_per_example(const MqarTask&, const Cell& cell) {
  return cell.pairs;
}

MqarLayout layout_of(Placement placement, const Cell& cell) {
  const int half = cell.length / 2;
  const int packed = 2 * cell.pairs;
  MqarLayout layout{.length = cell.length, .pairs = cell.pairs, .pair_slots = cell.pairs};
  switch (placement) {
    case Placement::standard:
      layout.query_begin = packed;
      break;
    case Placement::last:
      layout.pair_begin = half - packed;
      layout.query_begin = half;
      break;
    case Placement::shuffle:
      layout.pair_slots = half / 2;
      layout.query_begin = half;
      layout.shuffled = true;
      break;
  }
  layout.query_slots = (cell.length - layout.query_begin) / 2;
  return layout;
}

PositionDraws draw_position(const MqarTask& task, const Cell& cell, PhiloxSequence& random) {
  const MqarLayout layout = layout_of(task.placement, cell);
  check(can_draw(layout, task.ids(), task.query_slots.max_slots()),
        "draw_position: task {} has not the ids or slots for length {} with {} pairs", task.name,
        cell.length, cell.pairs);
  std::vector<std::uint64_t> memory(static_cast<std::size_t>(MqarScratch::words(layout)));
  const MqarScratch drawn(memory.data(), layout);
  const std::uint64_t* slot_sums = task.query_slots.sums().data();
  prepare_draws(layout, slot_sums, drawn, 0, 1);
  draw_pairs(layout, task.ids(), slot_sums, drawn, random);
  return {.keys = {drawn.keys, drawn.keys + cell.pairs},
          .values = {drawn.values, drawn.values + cell.pairs},
          .pair_slots = {drawn.pair_slots, drawn.pair_slots + cell.pairs},
          .query_slots = {drawn.query_slots, drawn.query_slots + cell.pairs}};
}

Example lay_out(Placement placement, const Cell& cell, const PositionDraws& draws) {
  const MqarLayout layout = layout_of(placement, cell);
  const std::size_t pairs = static_cast<std::size_t>(cell.pairs);
  check(draws.keys.size() == pairs && draws.values.size() == pairs &&
            draws.pair_slots.size() == pairs && draws.query_slots.size() == pairs,
        "lay_out: keys, values and slots must be those of {} pairs, got {}, {}, {}, {}", pairs,
        draws.keys.size(), draws.values.size(), draws.pair_slots.size(), draws.query_slots.size());
  Example example;
  example.tokens.assign(static_cast<std::size_t>(cell.length), kEmpty);
  const auto put = [&](int position, std::int32_t id) {
    std::int32_t& token = example.tokens[static_cast<std::size_t>(position)];
    check(token == kEmpty, "lay_out: position {} is used twice", position);
    token = id;
  };
  for (std::size_t j = 0; j < pairs; j++) {
    const int pair_slot = draws.pair_slots[j];
    const int query_slot = draws.query_slots[j];
    check(pair_slot >= 0 && pair_slot < layout.pair_slots && query_slot >= 0 &&
              query_slot < layout.query_slots,
          "lay_out: slots must be below {} (pairs) and {} (queries), got {} and {}",
          layout.pair_slots, layout.query_slots, pair_slot, query_slot);
    const int pair = layout.pair_begin + 2 * pair_slot;
    const int query = layout.query_begin + 2 * query_slot;
    put(pair, draws.keys[j]);
    put(pair + 1, draws.values[j]);
    put(query, draws.keys[j]);
    example.labels.push_back({query + 1, draws.values[j], static_cast<int>(j)});
  }
  std::sort(example.labels.begin(), example.labels.end(),
            [](const Label& a, const Label& b) { return a.position < b.position; });
  return example;
}

MqarEntry entry_of(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                   std::uint64_t sample) {
  check(cell < task.cells.size(), "generate: cell must be below {}, got {}", task.cells.size(),
        cell);
  check(sample >> 32 == 0, "generate: sample must be below 2^32, got {}", sample);
  // The split names the stream, so that no training seed can bring up test data; the cell is part
  // of the item, so that seed 43 does not meet the numbers of seed 42 one cell further.
  return {.key = philox_key(split_seed(split, seed, cell), stream(split)),
          .item = (std::uint64_t{cell} << 32) | sample,
          .layout = layout_of(task.placement, task.cells[cell])};
}

Example generate(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                 std::uint64_t sample) {
  const MqarEntry entry = entry_of(task, split, seed, cell, sample);
  PhiloxSequence random(entry.key, entry.item);
  const PositionDraws draws = draw_position(task, task.cells[cell], random);
  Example example = lay_out(task.placement, task.cells[cell], draws);
  for (std::int32_t& token : example.tokens) {
    if (token == kEmpty) token = task.filler.draw(random);
  }
  return example;
}

}  // namespace farsight
