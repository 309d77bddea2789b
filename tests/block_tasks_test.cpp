// Tasks of blocks with separators: K1V1 to K4V8, standard and shuffled.
#include <algorithm>
#include <cmath>
#include <set>

#include "data/batches.h"
#include "tests/task_examples.h"

namespace farsight {
namespace {

constexpr const char* kBlockTasks[] = {
    "k1v1",         "k1v2",         "k2v1",         "k2v2",         "k2v4",         "k4v8",
    "k1v1-shuffle", "k1v2-shuffle", "k2v1-shuffle", "k2v2-shuffle", "k2v4-shuffle", "k4v8-shuffle"};

/// The paper's grid, and one of odd lengths over few ids.
std::vector<MqarTask> tasks_called(const char* name) {
  return {make_named_task(name),
          make_named_task(name, {.vocabulary = 41, .lengths = {61, 95, 160}, .pairs = {1, 3}})};
}

TEST_CASE("blocks: the worked example, label by label") {
  MqarTask task = make_named_task("k2v2");
  const PairDraws draws = {
      .keys = {101, 102}, .values = {201, 202}, .pair_slots = {0}, .query_slots = {1}};
  const std::vector<std::int32_t> tokens = {10, 101, 102, 11, 201, 202, 10, 0, 0, 0, 0, 0, 0, 0,
                                            10, 101, 102, 11, 12,  12,  10, 0, 0, 0, 0, 0, 0, 0};
  const Example test = lay_out(layout_of(task, {28, 1}, Split::test), draws);
  CHECK(test.tokens == tokens);
  CHECK(test.labels == std::vector<Label>{{18, 201, 0}, {19, 202, 0}});
  CHECK(test.pairs == std::vector<PairPlaces>{{1, 4, 15}});
  const Example train = lay_out(layout_of(task, {28, 1}, Split::train), draws);
  CHECK(train.tokens == tokens);
  CHECK(train.labels == std::vector<Label>{{18, 201, 0}, {19, 202, 0}, {20, 10, kNoPair}});
  task.separator_target = false;
  CHECK(lay_out(layout_of(task, {28, 1}, Split::train), draws).labels == test.labels);
}

TEST_CASE("blocks: grids have 18 and 14 cells, and the totals of the paper's logs") {
  struct Expected {
    const char* name;
    std::size_t cells;
    std::int64_t tokens, labels, pairs;
  };
  for (const Expected& e : {Expected{"k1v1", 18, 101'120'000, 4'640'000, 11'600},
                            Expected{"k2v1", 18, 101'120'000, 4'640'000, 11'600},
                            Expected{"k1v2", 18, 101'120'000, 6'960'000, 11'600},
                            Expected{"k2v2", 18, 101'120'000, 6'960'000, 11'600},
                            Expected{"k2v4", 14, 81'920'000, 5'600'000, 5'600},
                            Expected{"k4v8", 14, 81'920'000, 10'080'000, 5'600}}) {
    for (const char* placement : {"", "-shuffle"}) {
      const MqarTask task = make_named_task(std::string(e.name) + placement);
      INFO(task.name);
      CHECK(task.cells.size() == e.cells);
      const TrainLoader loader(task, {});
      CHECK(loader.tokens_per_epoch() == e.tokens);
      CHECK(loader.labels_per_epoch() == e.labels);
      std::int64_t pairs = 0;
      for (const Cell& cell : task.cells) {
        pairs += cell.pairs * kPaperTestExamples;
      }
      CHECK(pairs == e.pairs);
    }
  }
}

TEST_CASE("blocks: a cell that is left out for its size keeps its place among the seeds") {
  const MqarTask k2v2 = make_named_task("k2v2");
  CHECK(k2v2.cells[3] == Cell{128, 1});
  CHECK(k2v2.places[3] == 5);  // 64x8 and 64x16 are the places 3 and 4
  CHECK(k2v2.cells.back() == Cell{512, 32});
  CHECK(k2v2.places.back() == 23);
  const auto key_of = [&](std::size_t cell) { return entry_of(k2v2, Split::test, 0, cell, 7).key; };
  CHECK(key_of(3) == philox_key(4567 + 5, hash_name("mqar/test")));
  CHECK(make_named_task("standard").places.back() == 25);
}

TEST_CASE("blocks: keys are 20 to 10,019, values 10,020 to 20,019, whatever the lengths") {
  for (const char* name : kBlockTasks) {
    const MqarTask task = make_named_task(name);
    CHECK(task.keys.first == 20);
    CHECK(task.keys.last == 10'019);
    CHECK(task.values.first == 10'020);
    CHECK(task.values.last == 20'019);
    CHECK(task.filler.first == 20);
    CHECK(task.filler.last == 20'019);
    CHECK(task.model_vocabulary() == 20'020);
  }
  const MqarTask small = make_named_task("k2v2", {.vocabulary = 41, .lengths = {64}, .pairs = {1}});
  CHECK(small.keys.last == 39);
  CHECK(small.values.first == 40);
  CHECK(small.values.last == 60);
  CHECK(small.model_vocabulary() == 61);
}

/// The block of a pair, or with placeholders of its query.
std::vector<std::int32_t> block_of(std::vector<std::int32_t> key, std::vector<std::int32_t> value) {
  std::vector<std::int32_t> block = {10};
  block.insert(block.end(), key.begin(), key.end());
  block.push_back(11);
  block.insert(block.end(), value.begin(), value.end());
  block.push_back(10);
  return block;
}

void check_blocks(const MqarTask& task, const Cell& cell, const Example& example, Split split) {
  const int k = task.description.key_length, v = task.description.value_length;
  const int slot = 3 + k + v, half = cell.length / 2;
  const bool shuffled = task.description.placement == Placement::shuffle;
  const int query_begin = shuffled ? half : cell.pairs * slot;
  std::vector<bool> used(example.tokens.size(), false);
  const auto use = [&](int begin) {
    for (int i = 0; i < slot; i++) {
      CHECK(!used[static_cast<std::size_t>(begin + i)]);
      used[static_cast<std::size_t>(begin + i)] = true;
    }
  };
  REQUIRE(example.tokens.size() == static_cast<std::size_t>(cell.length));
  REQUIRE(example.pairs.size() == static_cast<std::size_t>(cell.pairs));
  std::vector<Label> expected;
  for (int j = 0; j < cell.pairs; j++) {
    const PairPlaces& place = example.pairs[static_cast<std::size_t>(j)];
    const auto key = tokens_at(example, place.pair_key, k);
    const auto value = tokens_at(example, place.pair_value, v);
    const int block = place.pair_key - 1, query = place.query_key - 1;
    CHECK(tokens_at(example, block, slot) == block_of(key, value));
    const std::vector<std::int32_t> unknown(static_cast<std::size_t>(v), 12);
    CHECK(tokens_at(example, query, slot) == block_of(key, unknown));
    CHECK(block % slot == 0);
    if (!shuffled) CHECK(block == j * slot);
    CHECK(block + slot <= query_begin);
    CHECK((query - query_begin) % slot == 0);
    CHECK(query >= query_begin);
    CHECK(query + slot <= cell.length);
    CHECK(std::all_of(key.begin(), key.end(), [&](auto id) { return task.keys.contains(id); }));
    CHECK(
        std::all_of(value.begin(), value.end(), [&](auto id) { return task.values.contains(id); }));
    use(block);
    use(query);
    for (int i = 0; i < v; i++) {
      expected.push_back({query + k + 2 + i, value[static_cast<std::size_t>(i)], j});
    }
    if (split == Split::train) expected.push_back({query + k + 2 + v, 10, kNoPair});
  }
  std::sort(expected.begin(), expected.end(),
            [](const Label& a, const Label& b) { return a.position < b.position; });
  CHECK(example.labels == expected);
  for (std::size_t i = 0; i < used.size(); i++) {
    if (!used[i]) CHECK(task.filler.contains(example.tokens[i]));
  }
}

TEST_CASE("blocks: every example of every task and split keeps every rule") {
  for (const char* name : kBlockTasks) {
    for (const MqarTask& task : tasks_called(name)) {
      for (const Split split : {Split::train, Split::valid, Split::test}) {
        for_examples_of(task, split, 4, [&](std::size_t cell, const Example& example) {
          check_blocks(task, task.cells[cell], example, split);
        });
      }
    }
  }
}

TEST_CASE("blocks: the separator is a target of training alone, and not with the switch off") {
  for (const bool target : {true, false}) {
    const MqarTask task = make_named_task("k1v2", {.separator_target = target});
    for (const Split split : {Split::train, Split::valid, Split::test}) {
      const Example example = generate(task, split, 42, 5, 0);
      const auto separators = std::count_if(example.labels.begin(), example.labels.end(),
                                            [](const Label& label) { return label.target == 10; });
      const bool wanted = target && split == Split::train;
      CHECK(separators == (wanted ? task.cells[5].pairs : 0));
      CHECK(labels_per_example(task, task.cells[5], split) ==
            static_cast<int>(example.labels.size()));
    }
  }
}

TEST_CASE("blocks: with the switch off everything else is the same") {
  const MqarTask on = make_named_task("k2v2"),
                 off = make_named_task("k2v2", {.separator_target = false});
  Example with = generate(on, Split::train, 42, 17, 3);
  const Example without = generate(off, Split::train, 42, 17, 3);
  std::erase_if(with.labels, [](const Label& label) { return label.pair == kNoPair; });
  CHECK(with == without);
}

TEST_CASE("blocks: key and value tokens are drawn one by one, with replacement") {
  const MqarTask task =
      make_named_task("k2v2", {.vocabulary = 20, .lengths = {256}, .pairs = {16}});
  std::vector<int> keys(10, 0), values(10, 0);
  int equal_neighbours = 0;
  for (std::uint64_t sample = 0; sample < 400; sample++) {
    const Example example = generate(task, Split::test, 0, 0, sample);
    for (const PairPlaces& place : example.pairs) {
      for (int i = 0; i < 2; i++) {
        keys.at(static_cast<std::size_t>(token_at(example, place.pair_key + i) - 20))++;
        values.at(static_cast<std::size_t>(token_at(example, place.pair_value + i) - 30))++;
      }
      equal_neighbours +=
          token_at(example, place.pair_key) == token_at(example, place.pair_key + 1) ? 1 : 0;
    }
  }
  for (std::size_t id = 0; id < 10; id++) {  // 12,800 draws: a standard deviation is 34
    CHECK(std::abs(keys[id] - 1280) < 4 * 34);
    CHECK(std::abs(values[id] - 1280) < 4 * 34);
  }
  CHECK(std::abs(equal_neighbours - 640) < 4 * 24);
}

TEST_CASE("blocks: a shuffled pair is in every slot of the first half equally often") {
  const MqarTask task = make_named_task("k4v8-shuffle");
  const std::size_t cell = 13;  // 512 tokens, 16 pairs: 17 slots of 15
  CHECK(task.cells[cell] == Cell{512, 16});
  CHECK(layout_of(task, task.cells[cell]).pair_slots == 17);
  std::vector<int> first(17, 0);
  bool sorted = true;
  for (std::uint64_t sample = 0; sample < 3400; sample++) {
    const Example example = generate(task, Split::test, 0, cell, sample);
    first.at(static_cast<std::size_t>(example.pairs[0].pair_key / 15))++;
    sorted = sorted && std::is_sorted(example.pairs.begin(), example.pairs.end(),
                                      [](const PairPlaces& a, const PairPlaces& b) {
                                        return a.pair_key < b.pair_key;
                                      });
  }
  CHECK(!sorted);
  for (const int count : first) {
    CHECK(std::abs(count - 200) < 4 * 14);
  }
}

TEST_CASE("blocks: batches have the labels of every value token, packed or not") {
  const MqarTask task =
      make_named_task("k2v4", {.vocabulary = 200, .lengths = {64, 96, 160}, .pairs = {1, 2, 4}});
  for (const bool pack : {false, true}) {
    const TrainLoader loader(
        task, {.examples_per_cell = 12, .batch_size = 24, .micro_tokens = 480, .pack = pack});
    const GlobalBatch global = loader.at(0);
    std::int64_t labels = 0;
    for (const Batch& batch : global.micro_batches) {
      labels += batch.labels();
      for (std::size_t i = 0; i < batch.targets.size(); i++) {
        const std::size_t row = static_cast<std::size_t>(batch.label_rows[i]);
        const std::int32_t here = batch.tokens[row];
        CHECK((here == 11 || here == 12));  // from where values are predicted
        const bool closes = batch.pairs[i] == kNoPair;
        CHECK(closes == (batch.targets[i] == 10));
        if (closes) CHECK(batch.tokens[row + 1] == 10);
      }
    }
    CHECK(labels == global.labels);
  }
}

TEST_CASE(
    "blocks: ids that may not repeat do not, and a vocabulary too small for that is refused") {
  TaskDescription description = find_task("k2v2")->description;
  description.sampling = IdSampling::distinct;
  const TaskSizes sizes = {.vocabulary = 60, .lengths = {256}, .pairs = {15}};
  const MqarTask task = make_task("distinct", description, sizes);
  const Example example = generate(task, Split::test, 0, 0, 0);
  std::set<std::int32_t> keys, values;
  for (const PairPlaces& place : example.pairs) {
    for (int i = 0; i < 2; i++) {
      keys.insert(token_at(example, place.pair_key + i));
      values.insert(token_at(example, place.pair_value + i));
    }
  }
  CHECK(keys.size() == 30);
  CHECK(values.size() == 30);
  CHECK(says(refusal_of([&] {
               make_task("distinct", description,
                         {.vocabulary = 59, .lengths = {256}, .pairs = {15}});
             }),
             {"distinct", "15 pairs", "at least 60", "got 59"}));
}

}  // namespace
}  // namespace farsight
