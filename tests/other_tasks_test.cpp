// Copying, key retrieval, selective copying and induction heads.
#include "data/other_tasks.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "data/batches.h"
#include "tests/task_examples.h"

namespace farsight {
namespace {

TEST_CASE("copy: a text, a mark and the text again, asked for token by token") {
  const MqarTask task = make_named_task("copy");
  CHECK(task.cells == std::vector<Cell>{{129, 64}, {257, 128}, {513, 256}});
  for_examples_of(task, Split::train, 3, [&](std::size_t cell, const Example& example) {
    const int n = task.cells[cell].pairs;
    CHECK(token_at(example, n) == kMarkId);
    CHECK(tokens_at(example, 0, n) == tokens_at(example, n + 1, n));
    REQUIRE(example.labels.size() == static_cast<std::size_t>(n));
    for (int i = 0; i < n; i++) {
      CHECK(example.labels[static_cast<std::size_t>(i)] ==
            Label{n + 1 + i, token_at(example, i), i});
      CHECK(task.values.contains(token_at(example, i)));
    }
  });
  CHECK(make_task("mine", {.kind = TaskKind::copy}, {.lengths = {16, 33}, .pairs = {1, 2}}).cells ==
        std::vector<Cell>{{15, 7}, {33, 16}});
}

TEST_CASE("key retrieval: a framed pair somewhere, its key at the end, no id twice") {
  const MqarTask task = make_named_task("key-retrieval");
  CHECK(task.cells.back() == Cell{16'384, 1});
  std::set<int> places;
  for_examples_of(task, Split::train, 8, [&](std::size_t cell, const Example& example) {
    const int length = task.cells[cell].length;
    REQUIRE(example.pairs.size() == 1);
    const PairPlaces& place = example.pairs[0];
    const auto key = tokens_at(example, place.pair_key, 8);
    const auto value = tokens_at(example, place.pair_value, 40);
    CHECK(token_at(example, place.pair_key - 1) == 10);
    CHECK(token_at(example, place.pair_key + 8) == 10);
    CHECK(place.pair_value == place.pair_key + 10);
    CHECK(token_at(example, place.pair_value - 1) == 11);
    CHECK(token_at(example, place.pair_value + 40) == 11);
    CHECK(place.query_key == length - 49);
    CHECK(tokens_at(example, place.query_key, 8) == key);
    CHECK(token_at(example, place.query_key + 8) == 11);
    CHECK(tokens_at(example, length - 40, 40) == value);
    REQUIRE(example.labels.size() == 40);
    for (int i = 0; i < 40; i++) {
      CHECK(example.labels[static_cast<std::size_t>(i)] ==
            Label{length - 40 + i, value[static_cast<std::size_t>(i)], 0});
    }
    std::set<std::int32_t> ids;
    for (int i = 0; i < place.query_key; i++) {
      ids.insert(token_at(example, i));
    }
    CHECK(ids.size() == static_cast<std::size_t>(place.query_key - 2));  // 10 and 11 twice
    places.insert(place.pair_key);
  });
  CHECK(places.size() > 40);
  CHECK(*places.begin() < 200);
}

TEST_CASE("key retrieval: with repeated ids a small vocabulary will do") {
  TaskDescription description = find_task("key-retrieval")->description;
  description.cells = "200x1";
  CHECK(says(refusal_of([&] { make_task("mine", description, {.vocabulary = 100}); }),
             {"at least 147 ids, got 100"}));
  description.sampling = IdSampling::repeated;
  const MqarTask task = make_task("mine", description, {.vocabulary = 100});
  CHECK(generate(task, Split::test, 0, 0, 0).tokens.size() == 200);
}

TEST_CASE("selective copy: tokens among blanks come again in order, from placeholders") {
  const MqarTask task = make_named_task("selective-copy");
  for_examples_of(task, Split::test, 3, [&](std::size_t cell, const Example& example) {
    const int length = task.cells[cell].length, n = task.cells[cell].pairs;
    std::vector<std::int32_t> data;
    for (int i = 0; i < length - n - 1; i++) {
      const std::int32_t id = token_at(example, i);
      if (id == kBlankId) continue;
      CHECK(task.values.contains(id));
      CHECK(example.pairs[data.size()].pair_value == i);
      data.push_back(id);
    }
    REQUIRE(data.size() == static_cast<std::size_t>(n));
    CHECK(token_at(example, length - n - 1) == 10);
    for (int i = 0; i < n; i++) {
      CHECK(token_at(example, length - n + i) == 12);
      CHECK(example.labels[static_cast<std::size_t>(i)] ==
            Label{length - n + i, data[static_cast<std::size_t>(i)], i});
    }
  });
}

TEST_CASE("induction: what followed the mark, from anywhere before") {
  const MqarTask task =
      make_named_task("induction", {.vocabulary = 100, .lengths = {24}, .pairs = {1}});
  CHECK(task.cells == std::vector<Cell>{{24, 1}});
  std::vector<int> seen(21, 0);
  for (std::uint64_t sample = 0; sample < 2100; sample++) {
    const Example example = generate(task, Split::test, 0, 0, sample);
    const PairPlaces place = example.pairs.at(0);
    CHECK(std::count(example.tokens.begin(), example.tokens.end(), kMarkId) == 2);
    CHECK(token_at(example, place.pair_key) == kMarkId);
    CHECK(token_at(example, 22) == kMarkId);
    CHECK(place.query_key == 22);
    CHECK(example.labels == std::vector<Label>{{23, token_at(example, place.pair_value), 0}});
    seen.at(static_cast<std::size_t>(place.pair_key))++;
  }
  for (const int count : seen) {
    CHECK(std::abs(count - 100) < 45);
  }
}

TEST_CASE("other tasks: loaders batch and pack them, and no device is asked to make them") {
  for (const char* name : {"copy", "selective-copy", "induction"}) {
    TaskDescription description = find_task(name)->description;
    description.cells.clear();
    const MqarTask task =
        make_task(name, description, {.vocabulary = 60, .lengths = {12, 20, 33}, .pairs = {1, 3}});
    CHECK(!follows_layout(task));
    for (const bool pack : {false, true}) {
      const TrainLoader loader(
          task, {.examples_per_cell = 8, .batch_size = 9, .micro_tokens = 70, .pack = pack});
      const GlobalBatch global = loader.at(0);
      std::int64_t labels = 0, tokens = 0;
      for (const Batch& batch : global.micro_batches) {
        labels += batch.labels();
        for (const ExampleId& id : batch.examples) {
          tokens += task.cells[id.cell].length;
        }
        for (std::size_t i = 0; i < batch.targets.size(); i++) {
          CHECK(task.values.contains(batch.targets[i]));
        }
      }
      CHECK(labels == global.labels);
      CHECK(tokens == global.tokens);
    }
  }
}

}  // namespace
}  // namespace farsight
