// MQAR scores: what makes a token, a pair and a case right, and how cells are averaged.
#include <doctest/doctest.h>

#include <vector>

#include "core/check.h"
#include "eval/mqar_metrics.h"

namespace farsight {
namespace {

/// Two examples of cell 0 (2 pairs of 2 value tokens) in rows of 10 tokens.
Batch two_token_values() {
  return {.rows = 2,
          .length = 10,
          .tokens = std::vector<std::int32_t>(20, 1),
          .examples = {{0, 0}, {0, 1}},
          .label_rows = {4, 5, 7, 8, 14, 15, 17, 18},
          .targets = {50, 51, 52, 53, 60, 61, 62, 63},
          .pairs = {1, 1, 0, 0, 0, 0, 1, 1}};
}

Batch one_pair(std::size_t cell, std::int32_t target) {
  return {.rows = 1,
          .length = 4,
          .tokens = {1, 2, 3, 4},
          .examples = {{cell, 0}},
          .label_rows = {2},
          .targets = {target},
          .pairs = {0}};
}

TEST_CASE("metrics: a pair is right when all its value tokens are, a case when all its pairs are") {
  MqarMetrics metrics({{10, 2}});
  const std::vector<std::int32_t> predictions = {50, 51, 52, 0, 60, 61, 62, 63};
  metrics.add(two_token_values(), predictions);
  const MqarScore score = metrics.score();
  CHECK(score.cells[0].tokens == Tally{7, 8});
  CHECK(score.cells[0].pairs == Tally{3, 4});
  CHECK(score.cells[0].cases == Tally{1, 2});
  CHECK(score.token_accuracy == doctest::Approx(87.5));
  CHECK(score.pair_accuracy == doctest::Approx(75));
  CHECK(score.case_accuracy == doctest::Approx(50));
}

TEST_CASE("metrics: one wrong token anywhere in a pair costs that pair and that case alone") {
  for (std::size_t wrong = 0; wrong < 8; wrong++) {
    MqarMetrics metrics({{10, 2}});
    std::vector<std::int32_t> predictions = two_token_values().targets;
    predictions[wrong] = -1;
    metrics.add(two_token_values(), predictions);
    const CellScore cell = metrics.score().cells[0];
    CHECK(cell.tokens == Tally{7, 8});
    CHECK(cell.pairs == Tally{3, 4});
    CHECK(cell.cases == Tally{1, 2});
  }
}

TEST_CASE("metrics: rows are told apart even where the pair number goes on") {
  Batch batch = two_token_values();
  batch.pairs = {1, 1, 0, 0, 0, 0, 1, 1};  // pair 0 ends row 0 and begins row 1
  MqarMetrics metrics({{10, 2}});
  metrics.add(batch, batch.targets);
  CHECK(metrics.score().cells[0].pairs == Tally{4, 4});
  CHECK(metrics.score().cells[0].cases == Tally{2, 2});
}

TEST_CASE("metrics: macro means weigh cells alike, micro weighs pairs alike") {
  MqarMetrics metrics({{10, 2}, {4, 1}, {64, 16}});
  metrics.add(two_token_values(), two_token_values().targets);  // 4 of 4 pairs
  metrics.add(one_pair(1, 9), std::vector<std::int32_t>{8});    // 0 of 1
  const MqarScore score = metrics.score();
  CHECK(score.pair_accuracy == doctest::Approx(50));
  CHECK(score.token_accuracy == doctest::Approx(50));
  CHECK(score.case_accuracy == doctest::Approx(50));
  CHECK(score.micro_pair_accuracy == doctest::Approx(80));
  CHECK(score.cells[2].cases.total == 0);  // not evaluated, and not counted as a failure
  CHECK(summary(score) == "pair 50.00 %, token 50.00 %, case 50.00 %, micro pair 80.00 %");
}

TEST_CASE("metrics: batches of a cell add up") {
  MqarMetrics metrics({{4, 1}});
  for (int i = 0; i < 3; i++) {
    metrics.add(one_pair(0, 9), std::vector<std::int32_t>{i == 0 ? 8 : 9});
  }
  CHECK(metrics.score().cells[0].pairs == Tally{2, 3});
  CHECK(summary(metrics.score()) ==
        "pair 66.67 %, token 66.67 %, case 66.67 %, micro pair 66.67 %");
}

TEST_CASE("metrics: generated data with every answer right scores 100 in every cell") {
  const MqarTask task =
      make_position_task(Placement::standard, 100, position_grid({16, 32}, {1, 2, 4, 8}));
  MqarMetrics metrics(task.cells);
  for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
    for (const Batch& batch : evaluation_batches(task, Split::valid, cell, 7, 64)) {
      metrics.add(batch, batch.targets);
    }
  }
  const MqarScore score = metrics.score();
  for (const CellScore& cell : score.cells) {
    CHECK(cell.cases == Tally{7, 7});
    CHECK(cell.pairs == Tally{7 * cell.cell.pairs, 7 * cell.cell.pairs});
    CHECK(cell.tokens == cell.pairs);
  }
  CHECK(score.pair_accuracy == 100.0);
  CHECK(score.case_accuracy == 100.0);
}

TEST_CASE("metrics: nothing evaluated scores 0, and misfitting predictions are refused") {
  MqarMetrics metrics({{10, 2}});
  CHECK(metrics.score().pair_accuracy == 0.0);
  CHECK(metrics.score().micro_pair_accuracy == 0.0);
  CHECK_THROWS_AS(metrics.add(two_token_values(), std::vector<std::int32_t>(7)), Error);
  CHECK_THROWS_AS(metrics.add(one_pair(1, 9), std::vector<std::int32_t>{9}), Error);
}

}  // namespace
}  // namespace farsight
