// The robustness sets and those of Figure 1.
#include <algorithm>
#include <cmath>
#include <set>

#include "data/batches.h"
#include "tests/task_examples.h"

namespace farsight {
namespace {

TEST_CASE("position robustness: its 18 cells have one seed, and no two the same draws") {
  for (const char* name : {"position-robustness", "position-robustness-code"}) {
    const MqarTask task = make_named_task(name);
    std::vector<Cell> expected;
    for (const int length : {64, 128, 256, 512}) {
      for (int pairs = 1; 16 * pairs <= length; pairs *= 2) {
        expected.push_back({length, pairs});
      }
    }
    CHECK(task.cells == expected);
    CHECK(task.cells.size() == 18);
    std::set<std::uint64_t> items;
    for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
      const MqarEntry entry = entry_of(task, Split::test, 0, cell, 0);
      CHECK(entry.key == philox_key(4567, hash_name("mqar/test")));
      items.insert(entry.item);
    }
    CHECK(items.size() == 18);
  }
}

TEST_CASE("position robustness: every quarter of the first half has the same keys in order") {
  for (const char* name : {"position-robustness", "position-robustness-code"}) {
    const MqarTask task = make_named_task(name);
    const bool released = task.description.noise == Noise::sections_released;
    for_examples_of(task, Split::test, 3, [&](std::size_t cell, const Example& example) {
      const int length = task.cells[cell].length, pairs = task.cells[cell].pairs;
      REQUIRE(example.pairs.size() == static_cast<std::size_t>(4 * pairs));
      std::set<std::int32_t> keys, values;
      std::vector<bool> used(static_cast<std::size_t>(length), false);
      for (int section = 0; section < 4; section++) {
        for (int j = 0; j < pairs; j++) {
          const int at = section * length / 8 + 2 * j;
          const PairPlaces& place = example.pairs[static_cast<std::size_t>(section * pairs + j)];
          CHECK(place.pair_key == at);
          CHECK(place.pair_value == at + 1);
          CHECK((place.query_key < 0) == (section > 0));
          CHECK(token_at(example, at) == token_at(example, 2 * j));
          keys.insert(token_at(example, at));
          values.insert(token_at(example, at + 1));
          if (released) CHECK(token_at(example, at + 1) == token_at(example, 2 * j + 1) + section);
          used[static_cast<std::size_t>(at)] = used[static_cast<std::size_t>(at + 1)] = true;
        }
      }
      CHECK(keys.size() == static_cast<std::size_t>(pairs));
      if (!released) CHECK(values.size() == static_cast<std::size_t>(4 * pairs));
      REQUIRE(example.labels.size() == static_cast<std::size_t>(pairs));
      for (const Label& label : example.labels) {
        CHECK(label.position - 1 >= length / 2);
        CHECK((label.position - 1 - length / 2) % 2 == 0);
        CHECK(token_at(example, label.position - 1) == token_at(example, 2 * label.pair));
        CHECK(label.target == token_at(example, 2 * label.pair + 1));  // of the first section
        CHECK(example.pairs[static_cast<std::size_t>(label.pair)].query_key == label.position - 1);
        used[static_cast<std::size_t>(label.position - 1)] = true;
      }
      for (std::size_t i = 0; i < used.size(); i++) {
        if (used[i]) continue;
        CHECK((released ? example.tokens[i] == 0 : task.filler.contains(example.tokens[i])));
      }
    });
    CHECK(task.model_vocabulary() == (released ? 20'003 : 20'020));
  }
}

TEST_CASE("position robustness: the released values reach three ids past the range") {
  // With 8 ids of values some pair has the last one soon.
  const MqarTask task = make_named_task("position-robustness-code",
                                        {.vocabulary = 16, .lengths = {64}, .pairs = {4}});
  std::int32_t most = 0;
  for (std::uint64_t sample = 0; sample < 50; sample++) {
    const Example example = generate(task, Split::test, 0, 0, sample);
    most = std::max(most, *std::max_element(example.tokens.begin(), example.tokens.end()));
  }
  CHECK(most == 18);
  CHECK(task.model_vocabulary() == 19);
}

TEST_CASE("n-gram robustness: the release's 11 cells and their seeds, asked for uniformly") {
  const MqarTask task = make_named_task("ngram-robustness");
  CHECK(task.cells == std::vector<Cell>{{64, 1},
                                        {64, 4},
                                        {256, 1},
                                        {256, 4},
                                        {256, 8},
                                        {256, 16},
                                        {512, 1},
                                        {512, 4},
                                        {512, 8},
                                        {512, 16},
                                        {512, 32}});
  CHECK(task.places == std::vector<std::size_t>{0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(task.description.query_power == 1);
  std::vector<int> seen(8, 0);  // 64 tokens, 1 pair: 8 slots
  for (std::uint64_t sample = 0; sample < 8000; sample++) {
    const Example example = generate(task, Split::test, 0, 0, sample);
    seen.at(static_cast<std::size_t>((example.pairs[0].query_key - 8) / 7))++;
  }
  for (const int count : seen) {
    CHECK(std::abs(count - 1000) < 4 * 30);
  }
}

TEST_CASE("n-gram robustness: all keys end alike and start on their own, all are asked for") {
  const MqarTask task = make_named_task("ngram-robustness");
  int starts_alike = 0;
  for_examples_of(task, Split::test, 20, [&](std::size_t cell, const Example& example) {
    const std::size_t pairs = static_cast<std::size_t>(task.cells[cell].pairs);
    CHECK(example.pairs.size() == pairs);
    CHECK(example.labels.size() == 2 * pairs);
    std::set<std::int32_t> starts, ends;
    for (const PairPlaces& place : example.pairs) {
      CHECK(place.query_key >= 0);
      starts.insert(token_at(example, place.pair_key));
      ends.insert(token_at(example, place.pair_key + 1));
    }
    CHECK(ends.size() == 1);
    starts_alike += static_cast<int>(pairs - starts.size());
  });
  CHECK(starts_alike < 20);     // 1,980 pairs of 10,000 ids: 0.7 % of the examples with 32
  std::set<std::int32_t> ends;  // drawn anew in each example
  for (std::uint64_t sample = 0; sample < 20; sample++) {
    const Example example = generate(task, Split::test, 0, 0, sample);
    ends.insert(token_at(example, example.pairs[0].pair_key + 1));
  }
  CHECK(ends.size() >= 19);
}

TEST_CASE("n-gram robustness, text form: as many pairs that end alike, in random order, unasked") {
  const MqarTask task = make_named_task("ngram-robustness-text");
  int asked_first = 0, examples = 0;
  for_examples_of(task, Split::test, 20, [&](std::size_t cell, const Example& example) {
    const int pairs = task.cells[cell].pairs;
    REQUIRE(example.pairs.size() == static_cast<std::size_t>(2 * pairs));
    std::set<int> blocks;
    for (int j = 0; j < 2 * pairs; j++) {
      const PairPlaces& place = example.pairs[static_cast<std::size_t>(j)];
      const PairPlaces& asked = example.pairs[static_cast<std::size_t>(j % pairs)];
      CHECK((place.query_key < 0) == (j >= pairs));
      CHECK(token_at(example, place.pair_key - 1) == 10);
      CHECK(token_at(example, place.pair_key + 1) == token_at(example, asked.pair_key + 1));
      blocks.insert(place.pair_key - 1);
    }
    CHECK(blocks.size() == static_cast<std::size_t>(2 * pairs));
    CHECK(*blocks.begin() == 0);
    CHECK(*blocks.rbegin() == 7 * (2 * pairs - 1));  // contiguous
    for (const Label& label : example.labels) {
      CHECK(label.pair < pairs);
      CHECK(label.position >= 14 * pairs);
    }
    if (pairs == 1) {
      examples++;
      asked_first += example.pairs[0].pair_key == 1 ? 1 : 0;
    }
  });
  CHECK(asked_first > examples / 4);
  CHECK(asked_first < 3 * examples / 4);
}

TEST_CASE("figure 1: one pair in 1,000 to 63,000 tokens, and pairs within 4,096") {
  const MqarTask length = make_named_task("length");
  CHECK(length.cells.size() == 32);
  CHECK(length.cells.front() == Cell{1000, 1});
  CHECK(length.cells.back() == Cell{63'000, 1});
  CHECK(split_seed(Split::test, 0, length.places.back()) == 4567 + 31);
  const MqarTask density = make_named_task("density");
  CHECK(density.cells.size() == 11);
  CHECK(density.cells.back() == Cell{4096, 1024});
  CHECK(density.description.placement == Placement::standard);
  const MqarTask dispersion = make_named_task("dispersion");
  CHECK(dispersion.cells.back() == Cell{4096, 32});
  CHECK(dispersion.description.placement == Placement::shuffle);
  CHECK(make_named_task("length-pairs").cells.size() == 21);
  const Example far = generate(length, Split::test, 0, 31, 99);
  CHECK(far.tokens.size() == 63'000);
  CHECK(token_at(far, far.labels[0].position - 1) == token_at(far, 0));
  CHECK(far.labels[0].target == token_at(far, 1));
  const MqarTask zero = make_named_task("length", {.zero_filler = true});
  const Example blank = generate(zero, Split::test, 0, 0, 0);
  CHECK(std::count(blank.tokens.begin(), blank.tokens.end(), 0) == 997);
}

}  // namespace
}  // namespace farsight
