// The robustness sets, the sets of Figure 1, and what a description may not say.
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

TEST_CASE("tasks: every named task makes its cells, and labels that its tokens answer") {
  for (const NamedTask& named : named_tasks()) {
    const MqarTask task = make_named_task(named.name);
    CHECK(!named.help.empty());
    CHECK(task.cells.size() == task.places.size());
    CHECK(std::is_sorted(task.places.begin(), task.places.end()));
    for (const Split split : {Split::train, Split::test}) {
      for (const std::size_t cell : {std::size_t{0}, task.cells.size() - 1}) {
        INFO(named.name, " cell ", cell);
        const Example example = generate(task, split, 42, cell, 5);
        CHECK(example == generate(task, split, 42, cell, 5));
        CHECK(example != generate(task, split, 42, cell, 6));
        CHECK(example.tokens.size() == static_cast<std::size_t>(task.cells[cell].length));
        CHECK(static_cast<int>(example.labels.size()) ==
              labels_per_example(task, task.cells[cell], split));
        int position = 0;
        for (const Label& label : example.labels) {
          CHECK(label.position > position);
          CHECK(label.position < task.cells[cell].length);
          position = label.position;
        }
        for (const std::int32_t token : example.tokens) {
          CHECK(token >= 0);
          CHECK(token < task.model_vocabulary());
        }
      }
    }
  }
}

TEST_CASE("tasks: what belongs to a task when it is tested") {
  CHECK(test_tasks("last") == std::vector<std::string>{"standard", "last", "shuffle"});
  CHECK(test_tasks("k1v1") == std::vector<std::string>{"k1v1", "k1v2", "k2v2"});
  CHECK(test_tasks("k2v1") == std::vector<std::string>{"k1v1", "k1v2", "k2v2", "k2v1"});
  CHECK(test_tasks("k2v2") == std::vector<std::string>{"k1v1", "k1v2", "k2v2", "ngram-robustness"});
  CHECK(test_tasks("k4v8-shuffle") == std::vector<std::string>{"k4v8-shuffle"});
  for (const NamedTask& named : named_tasks()) {
    for (const std::string& name : test_tasks(named.name)) {
      CHECK(find_task(name) != nullptr);
    }
  }
}

TEST_CASE("tasks: a listed cell that cannot be is refused by its rule") {
  const auto with = [](const char* name, std::string cells) {
    TaskDescription description = find_task(name)->description;
    description.cells = std::move(cells);
    return refusal_of([&] { make_task("mine", description, {}); });
  };
  CHECK(says(with("k2v2", "64x5"), {"mine", "length 64 with 5 pairs", "35 tokens", "room for 32"}));
  CHECK(with("k2v2", "64x4") == "nothing was refused");
  CHECK(says(with("k4v8", "64x3"), {"45 tokens", "room for 32"}));
  CHECK(says(with("position-robustness", "64x5"), {"10 tokens", "room for 8"}));
  CHECK(says(with("ngram-robustness-text", "64x4"), {"56 tokens", "room for 32"}));
  CHECK(says(with("standard", "64x17"), {"34 tokens"}));
  CHECK(says(with("standard", "64"), {"LENGTHxPAIRS", "got '64'"}));
  CHECK(says(with("standard", "64x"), {"LENGTHxPAIRS"}));
  CHECK(says(with("standard", "x4"), {"LENGTHxPAIRS"}));
  CHECK(says(with("standard", "64x4x4"), {"LENGTHxPAIRS"}));
  CHECK(says(with("standard", "64x-4"), {"at least 1 pair"}));
  CHECK(says(with("standard", "-64x4"), {"1 to 1048576 tokens"}));
  CHECK(says(with("standard", "0x0"), {"1 to 1048576 tokens"}));
  CHECK(says(with("standard", "99999999999999999999x1"), {"LENGTHxPAIRS"}));
  CHECK(says(with("standard", "2000000x1"), {"1 to 1048576 tokens"}));
  CHECK(says(with("standard", "64x2147483647"), {"room for 32"}));
  CHECK(says(with("standard", "64x4 64x4"), {"listed twice"}));
  CHECK(says(with("standard", "- -"), {"no cell"}));
  CHECK(says(with("standard", " , "), {"no cell"}));
  CHECK(says(with("copy", "64x3"), {"are 7"}));
  CHECK(says(with("induction", "64x2"), {"one pair"}));
  CHECK(says(with("induction", "3x1"), {"4 tokens"}));
  CHECK(says(with("key-retrieval", "100x1"), {"101 tokens"}));
  CHECK(says(with("selective-copy", "8x4"), {"9 tokens"}));
}

TEST_CASE("tasks: cells of the run's lengths that do not fit are left out, unless none is left") {
  const MqarTask task = make_named_task("k4v8", {.lengths = {32, 64}, .pairs = {1, 2, 4}});
  CHECK(task.cells == std::vector<Cell>{{32, 1}, {64, 1}, {64, 2}});
  CHECK(task.places == std::vector<std::size_t>{0, 3, 4});
  CHECK(says(refusal_of([] {
               make_named_task("k4v8", {.lengths = {16, 24}, .pairs = {1}});
             }),
             {"k4v8", "length 24 with 1 pairs", "15 tokens", "room for 12"}));
}

TEST_CASE("tasks: a description that contradicts itself is refused by a sentence") {
  const auto refused = [](const char* name, auto change) {
    TaskDescription description = find_task(name)->description;
    change(description);
    return refusal_of([&] { make_task("mine", description, {}); });
  };
  using D = TaskDescription;
  CHECK(says(refused("k2v2", [](D& d) { d.key_length = 0; }), {"keys and values", "got 0 and 2"}));
  CHECK(says(refused("k2v2", [](D& d) { d.value_length = -1; }), {"got 2 and -1"}));
  CHECK(says(refused("k2v2", [](D& d) { d.value_length = 70'000; }), {"65536"}));
  CHECK(says(refused("k2v2", [](D& d) { d.query_power = 1.5; }), {"query_power"}));
  CHECK(says(refused("k2v2", [](D& d) { d.query_power = std::nan(""); }), {"query_power"}));
  CHECK(
      says(refused("k1v1", [](D& d) { d.noise = Noise::shared_last_key; }), {"at least 2 tokens"}));
  CHECK(says(refused("k1v1", [](D& d) { d.noise = Noise::equal_pairs; }), {"at least 2 tokens"}));
  CHECK(says(refused("last", [](D& d) { d.noise = Noise::sections; }),
             {"must be standard, got last"}));
  CHECK(says(refused("copy", [](D& d) { d.separators = true; }), {"of the kind recall", "copy"}));
  CHECK(says(refused("copy", [](D& d) { d.placement = Placement::last; }), {"of the kind recall"}));
  CHECK(says(refused("key-retrieval", [](D& d) { d.cells = "30000x1"; }),
             {"vocabulary", "task.sampling"}));
}

TEST_CASE(
    "tasks: variants that no name has: three values bare, blocks at the end, noise elsewhere") {
  TaskDescription bare = find_task("last")->description;
  bare.value_length = 3;
  const MqarTask task = make_task("k1v3-last", bare, {});
  for_examples_of(task, Split::train, 2, [&](std::size_t cell, const Example& example) {
    const int half = task.cells[cell].length / 2, pairs = task.cells[cell].pairs;
    CHECK(example.labels.size() == static_cast<std::size_t>(3 * pairs));
    for (int j = 0; j < pairs; j++) {
      const PairPlaces& place = example.pairs[static_cast<std::size_t>(j)];
      CHECK(place.pair_key == half - 4 * (pairs - j));
      CHECK(token_at(example, place.query_key) == token_at(example, place.pair_key));
      const auto first = std::find_if(example.labels.begin(), example.labels.end(),
                                      [&](const Label& label) { return label.pair == j; });
      for (int i = 0; i < 3; i++) {
        CHECK(first[i].position == place.query_key + 1 + i);
        CHECK(first[i].target == token_at(example, place.pair_value + i));
      }
    }
  });
  TaskDescription blocks = find_task("k2v2")->description;
  blocks.placement = Placement::last;
  const MqarTask late = make_task("k2v2-last", blocks, {});
  const Example example = generate(late, Split::test, 0, late.cells.size() - 1, 0);
  CHECK(example.pairs[31].pair_key == 256 - 6);
  blocks.placement = Placement::shuffle;
  blocks.noise = Noise::equal_pairs;
  const MqarTask noisy = make_task("noisy", blocks, {});
  for_examples_of(noisy, Split::test, 2, [&](std::size_t cell, const Example& one) {
    std::set<int> places;
    for (const PairPlaces& place : one.pairs) {
      CHECK(token_at(one, place.pair_key - 1) == 10);
      CHECK(place.pair_key + 6 <= noisy.cells[cell].length / 2);
      places.insert(place.pair_key);
    }
    CHECK(places.size() == one.pairs.size());
  });
}

/// FNV-1a over tokens and labels.
std::uint64_t fingerprint(const MqarTask& task) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](std::int64_t number) {
    hash = (hash ^ static_cast<std::uint64_t>(number)) * 0x100000001b3u;
  };
  for (const Split split : {Split::train, Split::test}) {
    for (const std::size_t cell : {std::size_t{0}, task.cells.size() - 1}) {
      const Example example = generate(task, split, kDefaultSeed, cell, 17);
      for (const std::int32_t token : example.tokens) {
        add(token);
      }
      for (const Label& label : example.labels) {
        add(label.position);
        add(label.target);
        add(label.pair);
      }
    }
  }
  return hash;
}

TEST_CASE("tasks: the data is the data of every earlier version") {
  // A change here makes new runs incomparable with old ones: say so in the changelog.
  struct Expected {
    const char* name;
    std::uint64_t hash;
  };
  constexpr Expected kExpected[] = {{"k1v1", 0x22a6b201098093f7u},
                                    {"k1v2", 0xb471f1090e9bbd97u},
                                    {"k2v2", 0x35e52e41b3030883u},
                                    {"k4v8-shuffle", 0x9f438c4c1cbe62afu},
                                    {"position-robustness", 0x58d073a4702559f4u},
                                    {"position-robustness-code", 0x54fbb8c91032fabau},
                                    {"ngram-robustness", 0x3080cdbf4668e0e3u},
                                    {"ngram-robustness-text", 0x19635b49c8d1e66eu},
                                    {"copy", 0x8fc3b5edd9b70d77u},
                                    {"key-retrieval", 0x56247edb52e21b56u},
                                    {"selective-copy", 0x22f56b8f1ddde82bu},
                                    {"induction", 0x8d4e84c2e52df2c3u}};
  for (const Expected& expected : kExpected) {
    CHECK_MESSAGE(fingerprint(make_named_task(expected.name)) == expected.hash, expected.name);
  }
}

}  // namespace
}  // namespace farsight
