// Every rule of an MQAR example, for each placement, over the paper's grid and odd cells.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "core/check.h"
#include "data/mqar.h"

namespace farsight {
namespace {

/// Task cells that include odd lengths, a full query region, and a left-over token.
MqarTask odd_task(Placement placement) {
  return make_position_task(placement, 300, {{4, 1}, {9, 2}, {13, 3}, {30, 7}, {64, 16}, {67, 5}});
}

/// Calls body(task, cell, example) over both kinds of grid.
template <class Body>
void for_examples(Placement placement, Body body) {
  for (const MqarTask& task : {paper_position_task(placement), odd_task(placement)}) {
    for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
      for (std::uint64_t sample = 0; sample < 5; sample++) {
        CAPTURE(task.cells[cell].length);
        CAPTURE(task.cells[cell].pairs);
        body(task, task.cells[cell], generate(task, Split::train, 42, cell, sample));
      }
    }
  }
}

std::int32_t token_at(const Example& example, int position) {
  return example.tokens[static_cast<std::size_t>(position)];
}

/// labels[j]: the label of pair j, which must have exactly one.
std::vector<Label> by_pair(const Cell& cell, const Example& example) {
  REQUIRE(example.labels.size() == static_cast<std::size_t>(cell.pairs));
  std::vector<Label> labels = example.labels;
  std::sort(labels.begin(), labels.end(),
            [](const Label& a, const Label& b) { return a.pair < b.pair; });
  for (int j = 0; j < cell.pairs; j++) {
    REQUIRE(labels[static_cast<std::size_t>(j)].pair == j);
  }
  return labels;
}

/// Contiguous pairs: key j at begin + 2j, its value next to it, its query where label j says.
void check_contiguous(const MqarTask& task, const Cell& cell, const Example& example, int begin,
                      int query_begin) {
  std::set<std::int32_t> keys;
  std::set<std::int32_t> values;
  const std::vector<Label> labels = by_pair(cell, example);
  for (int j = 0; j < cell.pairs; j++) {
    const Label& label = labels[static_cast<std::size_t>(j)];
    const std::int32_t key = token_at(example, begin + 2 * j);
    const std::int32_t value = token_at(example, begin + 2 * j + 1);
    CHECK(task.keys.contains(key));
    CHECK(task.values.contains(value));
    CHECK(label.target == value);
    CHECK(token_at(example, label.position - 1) == key);
    CHECK(label.position - 1 >= query_begin);
    keys.insert(key);
    values.insert(value);
  }
  CHECK(keys.size() == static_cast<std::size_t>(cell.pairs));
  CHECK(values.size() == static_cast<std::size_t>(cell.pairs));
}

TEST_CASE("mqar: standard packs distinct pairs from token 0 and queries anywhere after them") {
  for_examples(Placement::standard, [](const auto& task, const Cell& cell, const Example& example) {
    check_contiguous(task, cell, example, 0, 2 * cell.pairs);
  });
}

TEST_CASE("mqar: last packs distinct pairs up to the middle and queries in the second half") {
  for_examples(Placement::last, [](const auto& task, const Cell& cell, const Example& example) {
    const int half = cell.length / 2;
    check_contiguous(task, cell, example, half - 2 * cell.pairs, half);
  });
}

TEST_CASE("mqar: shuffle puts pairs on even slots of the first half, queries in the second") {
  for_examples(Placement::shuffle, [](const auto& task, const Cell& cell, const Example& example) {
    const int half = cell.length / 2;
    std::multiset<std::pair<std::int32_t, std::int32_t>> slots;
    for (int position = 0; position + 2 <= half; position += 2) {
      slots.insert({token_at(example, position), token_at(example, position + 1)});
    }
    for (const Label& label : by_pair(cell, example)) {
      const std::int32_t key = token_at(example, label.position - 1);
      CHECK(task.keys.contains(key));
      CHECK(task.values.contains(label.target));
      CHECK(label.position - 1 >= half);
      const auto slot = slots.find({key, label.target});
      REQUIRE(slot != slots.end());
      slots.erase(slot);  // so that two pairs need two slots
    }
  });
}

TEST_CASE("mqar: queries sit on aligned slots of the query region, one each, labels in order") {
  for (const Placement placement : kPlacements) {
    for_examples(placement, [=](const auto&, const Cell& cell, const Example& example) {
      const int begin = placement == Placement::standard ? 2 * cell.pairs : cell.length / 2;
      int previous = begin - 1;
      for (const Label& label : example.labels) {
        CHECK((label.position - 1 - begin) % 2 == 0);
        CHECK(label.position > previous + 1);
        CHECK(label.position < cell.length);
        previous = label.position;
      }
    });
  }
}

TEST_CASE("mqar: every token is an id of the task, never 0") {
  for (const Placement placement : kPlacements) {
    for_examples(placement, [](const auto& task, const Cell& cell, const Example& example) {
      CHECK(example.tokens.size() == static_cast<std::size_t>(cell.length));
      for (const std::int32_t token : example.tokens) {
        CHECK(token >= 1);
        CHECK(token < task.model_vocabulary());
      }
    });
  }
}

TEST_CASE("mqar: all that is no pair and no query is filler, and so is what follows a query") {
  for (const Placement placement : kPlacements) {
    const MqarTask task = odd_task(placement);
    for (const Cell& cell : task.cells) {
      PhiloxSequence random(11, 0);
      const MqarLayout layout = layout_of(task, cell);
      const Example bare = lay_out(layout, draw_pairs_of(task, layout, random));
      CHECK(std::count(bare.tokens.begin(), bare.tokens.end(), kEmpty) ==
            cell.length - 3 * cell.pairs);
      for (const Label& label : bare.labels) {
        CHECK(token_at(bare, label.position) == kEmpty);
      }
    }
    // In a filled example the answer follows its query as rarely as any filler equals it.
    int given_away = 0;
    const MqarTask paper = paper_position_task(placement);
    for (std::uint64_t sample = 0; sample < 100; sample++) {
      const Example example = generate(paper, Split::train, 42, 25, sample);
      for (const Label& label : example.labels) {
        given_away += token_at(example, label.position) == label.target ? 1 : 0;
        CHECK(paper.filler.contains(token_at(example, label.position)));
      }
    }
    CHECK(given_away <= 5);  // 12,800 queries, 0.64 expected
  }
}

TEST_CASE("mqar: filler is uniform over its range, both ends included") {
  const MqarTask task = make_position_task(Placement::last, 40, {{400, 1}});
  std::map<std::int32_t, int> seen;
  for (std::uint64_t sample = 0; sample < 200; sample++) {
    const Example example = generate(task, Split::train, 42, 0, sample);
    for (std::size_t position = 0; position < 198; position++) {  // before the pair
      seen[example.tokens[position]]++;
    }
  }
  CHECK(seen.size() == 40);
  CHECK(seen.begin()->first == 20);
  CHECK(seen.rbegin()->first == 59);
  for (const auto& [id, count] : seen) {
    CHECK(count == doctest::Approx(990).epsilon(0.15));  // 4.7 standard deviations
  }
}

TEST_CASE("mqar: keys and values reach both ends of their ranges") {
  for (const Placement placement : kPlacements) {
    const MqarTask task = make_position_task(placement, 12, {{20, 5}});  // keys 1..5, values 6..11
    std::set<std::int32_t> keys;
    std::set<std::int32_t> values;
    for (std::uint64_t item = 0; item < 200; item++) {
      PhiloxSequence random(12, item);
      const PairDraws draws = draw_pairs_of(task, layout_of(task, task.cells[0]), random);
      keys.insert(draws.keys.begin(), draws.keys.end());
      values.insert(draws.values.begin(), draws.values.end());
    }
    CHECK(keys == std::set<std::int32_t>{1, 2, 3, 4, 5});
    CHECK(values == std::set<std::int32_t>{6, 7, 8, 9, 10, 11});
  }
}

TEST_CASE("mqar: pair j takes the j-th slot drawn, so the first keys are asked for first") {
  const MqarTask task = paper_position_task(Placement::standard);
  const MqarLayout layout = layout_of(task, {512, 4});
  constexpr int kTrials = 4000;
  int at_first_slot = 0;
  double position[2] = {0, 0};
  for (std::uint64_t item = 0; item < kTrials; item++) {
    PhiloxSequence random(13, item);
    const PairDraws draws = draw_pairs_of(task, layout, random);
    at_first_slot += draws.query_slots[0] == 0 ? 1 : 0;
    for (const Label& label : lay_out(layout, draws).labels) {
      const std::size_t pair = static_cast<std::size_t>(label.pair);
      CHECK(label.position == 8 + 2 * draws.query_slots[pair] + 1);
      if (pair == 0) position[0] += label.position;
      if (pair == 3) position[1] += label.position;
    }
  }
  const double p_1 = at_first_slot / static_cast<double>(kTrials);
  CHECK(p_1 == doctest::Approx(0.1595).epsilon(0.15));  // S = 252; 4 standard deviations
  CHECK(position[0] < position[1]);
}

TEST_CASE("mqar: shuffle chooses its pair slots uniformly and keeps the order drawn") {
  const MqarTask task = paper_position_task(Placement::shuffle);
  std::vector<int> first(16, 0);
  std::vector<int> any(16, 0);
  int sorted = 0;
  constexpr int kTrials = 8000;
  for (std::uint64_t item = 0; item < kTrials; item++) {
    PhiloxSequence random(14, item);
    const std::vector<int> slots = draw_pairs_of(task, layout_of(task, {64, 4}), random).pair_slots;
    CHECK(std::set<int>(slots.begin(), slots.end()).size() == 4);
    first[static_cast<std::size_t>(slots[0])]++;
    for (const int slot : slots) {
      any[static_cast<std::size_t>(slot)]++;
    }
    sorted += std::is_sorted(slots.begin(), slots.end()) ? 1 : 0;
  }
  for (std::size_t slot = 0; slot < 16; slot++) {
    CHECK(first[slot] == doctest::Approx(kTrials / 16.0).epsilon(0.2));
    CHECK(any[slot] == doctest::Approx(kTrials / 4.0).epsilon(0.1));
  }
  CHECK(sorted == doctest::Approx(kTrials / 24.0).epsilon(0.25));
}

TEST_CASE("mqar: shuffle repeats keys as often as drawing with replacement must") {
  const MqarTask task = paper_position_task(Placement::shuffle);
  constexpr int kExamples = 600;
  int repeated = 0;
  for (std::uint64_t item = 0; item < kExamples; item++) {
    PhiloxSequence random(15, item);
    const std::vector<std::int32_t> keys =
        draw_pairs_of(task, layout_of(task, {512, 128}), random).keys;
    repeated += 128 - static_cast<int>(std::set<std::int32_t>(keys.begin(), keys.end()).size());
  }
  // (KV - 1) / (2 * 9999) = 0.64 % of 76,800 queries; 22 is one standard deviation.
  CHECK(repeated > 488 - 4 * 22);
  CHECK(repeated < 488 + 4 * 22);
}

TEST_CASE("mqar: examples are a function of their address, whatever was asked before") {
  const MqarTask task = paper_position_task(Placement::shuffle);
  const Example once = generate(task, Split::train, 42, 20, 19'999);
  const Example neighbour = generate(task, Split::train, 42, 20, 19'998);
  CHECK(generate(task, Split::train, 42, 20, 19'999) == once);
  CHECK(neighbour != once);
  CHECK(generate(paper_position_task(Placement::shuffle), Split::train, 42, 20, 19'999) == once);
  CHECK_THROWS_AS(generate(task, Split::train, 42, 26, 0), Error);
  CHECK_THROWS_AS(generate(task, Split::train, 42, 0, std::uint64_t{1} << 32), Error);
}

TEST_CASE("mqar: a sequence of 65,536 tokens with 16,384 pairs is built like any other") {
  for (const Placement placement : kPlacements) {
    const MqarTask task = make_position_task(placement, 40'000, {{65'536, 16'384}});
    const Example example = generate(task, Split::test, 42, 0, 3);
    CHECK(example.tokens.size() == 65'536);
    CHECK(by_pair(task.cells[0], example).size() == 16'384);
  }
}

}  // namespace
}  // namespace farsight
