// Global batches, micro-batches, shards, epochs and evaluation batches of MQAR data.
#include <doctest/doctest.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "data/batches.h"

namespace farsight {
namespace {

using Address = std::pair<std::size_t, std::uint64_t>;

MqarTask small_task() {
  return make_position_task(Placement::shuffle, 100, position_grid({16, 20, 33}, {1, 2, 4, 8}));
}

/// 10 cells of 4 examples: 40 an epoch, 3 steps of 12 and a remainder of 4.
TrainLoader small_loader(std::uint64_t seed = 42, std::int64_t micro_tokens = 70) {
  return TrainLoader(small_task(), {seed, 4, 12, micro_tokens});
}

TEST_CASE("batches: rows hold the generated examples, labels point at the predicting logits") {
  const TrainLoader loader = small_loader();
  for (const Batch& batch : loader.at(1).micro_batches) {
    REQUIRE(batch.tokens.size() == static_cast<std::size_t>(batch.rows * batch.length));
    REQUIRE(batch.examples.size() == static_cast<std::size_t>(batch.rows));
    std::size_t next = 0;
    for (int row = 0; row < batch.rows; row++) {
      const ExampleId id = batch.examples[static_cast<std::size_t>(row)];
      const Example example = generate(loader.task(), Split::train, 42, id.cell, id.sample);
      const auto begin = batch.tokens.begin() + row * batch.length;
      CHECK(std::vector<std::int32_t>(begin, begin + batch.length) == example.tokens);
      for (const Label& label : example.labels) {
        CHECK(batch.label_rows[next] == row * batch.length + label.position - 1);
        CHECK(batch.targets[next] == label.target);
        CHECK(batch.pairs[next] == label.pair);
        // The logits scored are those of the query's key: the token that stands there.
        CHECK(loader.task().keys.contains(
            batch.tokens[static_cast<std::size_t>(batch.label_rows[next])]));
        next++;
      }
    }
    CHECK(next == batch.targets.size());
    CHECK(next == batch.label_rows.size());
    CHECK(next == batch.pairs.size());
    CHECK(batch.labels() == static_cast<std::int64_t>(next));
  }
}

TEST_CASE("batches: micro-batches keep to the budget, longest first, and add up to the batch") {
  const GlobalBatch global = small_loader().at(0);
  std::int64_t rows = 0;
  std::int64_t tokens = 0;
  std::int64_t labels = 0;
  int previous = 1000;
  for (const Batch& batch : global.micro_batches) {
    CHECK(batch.rows >= 1);
    CHECK(batch.rows * batch.length <= 70);
    CHECK(batch.length <= previous);
    previous = batch.length;
    rows += batch.rows;
    tokens += batch.rows * batch.length;
    labels += batch.labels();
  }
  CHECK(rows == 12);
  CHECK(tokens == global.tokens);
  CHECK(labels == global.labels);
  // A budget below one row still takes one row at a time.
  CHECK(small_loader(42, 1).at(0).micro_batches.size() == 12);
  // A budget above all rows makes one micro-batch a length.
  CHECK(small_loader(42, 1'000'000).at(0).micro_batches.size() <= 3);
}

TEST_CASE("batches: an epoch visits each example at most once and leaves out the remainder") {
  const TrainLoader loader = small_loader();
  CHECK(loader.examples_per_epoch() == 40);
  CHECK(loader.steps_per_epoch() == 3);
  std::map<int, std::set<Address>> epochs;
  for (int step = 0; step < 6; step++) {
    for (const ExampleId& id : loader.examples_at(step)) {
      CHECK(id.cell < 10);
      CHECK(id.sample < 4);
      CHECK(epochs[step / 3].insert({id.cell, id.sample}).second);
    }
  }
  CHECK(epochs[0].size() == 36);
  CHECK(epochs[1].size() == 36);
  CHECK(loader.examples_at(0) != loader.examples_at(3));
}

TEST_CASE("batches: without a remainder every epoch visits every example") {
  const TrainLoader loader(small_task(), {42, 4, 8, 100});
  for (int epoch = 0; epoch < 3; epoch++) {
    std::set<Address> seen;
    for (int step = 0; step < 5; step++) {
      for (const ExampleId& id : loader.examples_at(5 * epoch + step)) {
        seen.insert({id.cell, id.sample});
      }
    }
    CHECK(seen.size() == 40);
  }
}

TEST_CASE("batches: a global batch mixes all cells of the paper's grid") {
  const TrainLoader loader(paper_position_task(Placement::standard), {});
  std::map<std::size_t, int> seen;
  for (int step = 100; step < 120; step++) {
    std::set<std::size_t> cells;
    for (const ExampleId& id : loader.examples_at(step)) {
      seen[id.cell]++;
      cells.insert(id.cell);
    }
    CHECK(cells.size() >= 22);
  }
  CHECK(seen.size() == 26);
  for (const auto& [cell, count] : seen) {
    CHECK(count == doctest::Approx(3200 / 26.0).epsilon(0.4));  // 4.4 standard deviations
  }
}

TEST_CASE("batches: a step is a pure function of its number, the seed and nothing else") {
  const TrainLoader loader = small_loader();
  const GlobalBatch late = loader.at(1000);
  loader.at(3);
  CHECK(loader.at(1000).micro_batches == late.micro_batches);
  CHECK(small_loader().at(1000).micro_batches == late.micro_batches);
  CHECK(small_loader(43).at(1000).micro_batches != late.micro_batches);
  CHECK(small_loader(43).examples_at(1000) != loader.examples_at(1000));
}

TEST_CASE("batches: the number of threads does not change a batch") {
  const int before = threads();
  const TrainLoader loader(paper_position_task(Placement::last), {});
  std::vector<std::vector<Batch>> runs;
  for (const int count : {1, 2, 5}) {
    set_threads(count);
    runs.push_back(loader.at(7).micro_batches);
  }
  set_threads(before);
  CHECK(runs[0] == runs[1]);
  CHECK(runs[0] == runs[2]);
}

TEST_CASE("batches: the ranks of any world share out the same global batch") {
  const TrainLoader loader = small_loader();
  const GlobalBatch whole = loader.at(2);
  std::set<Address> expected;
  for (const ExampleId& id : loader.examples_at(2)) {
    expected.insert({id.cell, id.sample});
  }
  for (const int world : {1, 2, 3, 5, 16}) {
    std::set<Address> seen;
    std::int64_t labels = 0;
    std::int64_t most_rows = 0;
    std::int64_t least_rows = 100;
    for (int rank = 0; rank < world; rank++) {
      const GlobalBatch part = loader.at(2, {rank, world});
      CHECK(part.labels == whole.labels);
      CHECK(part.tokens == whole.tokens);
      std::int64_t rows = 0;
      for (const Batch& batch : part.micro_batches) {
        rows += batch.rows;
        labels += batch.labels();
        for (const ExampleId& id : batch.examples) {
          CHECK(seen.insert({id.cell, id.sample}).second);
        }
      }
      most_rows = std::max(most_rows, rows);
      least_rows = std::min(least_rows, rows);
    }
    CHECK(seen == expected);
    CHECK(labels == whole.labels);
    CHECK(most_rows - least_rows <= 1);
  }
  CHECK_THROWS_AS(loader.at(0, {2, 2}), Error);
  CHECK_THROWS_AS(loader.at(0, {-1, 2}), Error);
  CHECK_THROWS_AS(loader.at(-1), Error);
}

TEST_CASE("batches: evaluation sees each example of its cell once, in order, from its own split") {
  const MqarTask task = small_task();
  const std::size_t cell = task.cells.size() - 1;  // length 33
  const std::vector<Batch> batches = evaluation_batches(task, Split::test, cell, 10, 100);
  CHECK(batches.size() == 4);  // 3 + 3 + 3 + 1 rows
  std::uint64_t next = 0;
  for (const Batch& batch : batches) {
    CHECK(batch.length == 33);
    CHECK(batch.rows <= 3);
    for (int row = 0; row < batch.rows; row++) {
      CHECK(batch.examples[static_cast<std::size_t>(row)] == ExampleId{cell, next});
      const Example example = generate(task, Split::test, kDefaultSeed, cell, next);
      const auto begin = batch.tokens.begin() + row * batch.length;
      CHECK(std::vector<std::int32_t>(begin, begin + batch.length) == example.tokens);
      next++;
    }
  }
  CHECK(next == 10);
  CHECK(evaluation_batches(task, Split::valid, cell, 10, 100) != batches);
}

TEST_CASE("batches: settings that admit no batch are refused with what would do") {
  const auto code_of = [](const TrainLoaderOptions& options) {
    try {
      const TrainLoader loader(small_task(), options);
    } catch (const Error& error) {
      return error.code();
    }
    return ExitCode::ok;
  };
  CHECK(code_of({42, 4, 40, 1}) == ExitCode::ok);
  CHECK(code_of({42, 4, 41, 100}) == ExitCode::data);
  CHECK(code_of({42, 4, 0, 100}) == ExitCode::data);
  CHECK(code_of({42, 0, 12, 100}) == ExitCode::data);
  CHECK(code_of({42, -5, 12, 100}) == ExitCode::data);
  CHECK(code_of({42, 5'000'000'000, 12, 100}) == ExitCode::data);
  CHECK(code_of({42, 4, 12, 0}) == ExitCode::data);
  CHECK(code_of({42, 4, 12, 3'000'000'000}) == ExitCode::data);
  CHECK_THROWS_AS(evaluation_batches(small_task(), Split::test, 0, 0, 100), Error);
  CHECK_THROWS_AS(evaluation_batches(small_task(), Split::test, 99, 1, 100), Error);
}

}  // namespace
}  // namespace farsight
