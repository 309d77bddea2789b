// Every named task, what descriptions may not say, and variants that no name has.
#include "data/task_description.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/task_examples.h"
#include "tests/task_fingerprint.h"

namespace farsight {
namespace {

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
    const MqarTask task = make_named_task(expected.name);
    const std::uint64_t hash =
        task_fingerprint(task, {Split::train, Split::test}, {0, task.cells.size() - 1});
    CHECK_MESSAGE(hash == expected.hash, expected.name);
  }
}

}  // namespace
}  // namespace farsight
