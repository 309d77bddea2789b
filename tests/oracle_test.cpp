// The perfect reader: what it answers, how sure it is, and what that makes attainable in every task.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>

#include "core/check.h"
#include "data/anatomy.h"
#include "data/audit.h"
#include "data/example_rules.h"
#include "data/oracle.h"

namespace farsight {
namespace {

/// Sizes at which a test takes milliseconds; block tasks find room at 64 and 96.
TaskSizes small_sizes(int vocabulary = 108) {
  return {.vocabulary = vocabulary, .lengths = {64, 96}, .pairs = {1, 2, 4}};
}

/// The named task with few enough cells and tokens for a test.
MqarTask small_task(const NamedTask& named) {
  TaskDescription d = named.description;
  if (!d.cells.empty()) d.cells = d.kind == TaskKind::copy ? "33x16" : "64x1";
  if (d.kind == TaskKind::key_retrieval) d.cells = "128x1";
  return make_task(named.name, d, small_sizes(400));
}

std::vector<std::int32_t> answer_of(const Query& query, const Example& example) {
  const auto first = example.tokens.begin() + query.places[query.best].value;
  return {first, first + static_cast<std::ptrdiff_t>(query.labels)};
}

bool is_right(const Query& query, const Example& example) {
  const std::vector<std::int32_t> answer = answer_of(query, example);
  for (std::size_t i = 0; i < query.labels; i++) {
    if (example.labels[query.first_label + i].target != answer[i]) return false;
  }
  return true;
}

TEST_CASE(
    "oracle: in every named task it finds what each query asks for, and is right where sure") {
  for (const NamedTask& named : named_tasks()) {
    const MqarTask task = small_task(named);
    CAPTURE(named.name);
    for (const Split split : {Split::train, Split::test}) {
      for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
        for (std::uint64_t sample = 0; sample < 20; sample++) {
          const Example example = generate(task, split, 7, cell, sample);
          const Anatomy anatomy =
              anatomy_of(task, task.cells[cell], example.tokens, example.labels);
          REQUIRE(anatomy.asked.size() == static_cast<std::size_t>(task.cells[cell].pairs));
          for (std::size_t i = 0; i < anatomy.asked.size(); i++) {
            const Query& query = anatomy.reading.queries[i];
            REQUIRE(anatomy.asked[i].has_value());
            const bool sections =
                follows_layout(task) && layout_of(task, task.cells[cell]).sections > 1;
            if (query.probability == 1.0 && !sections) CHECK(is_right(query, example));
            if (query.places.size() > 1 && !sections) continue;  // the pair may be either
            const PairPlaces& drawn = example.pairs[static_cast<std::size_t>(query.pair)];
            CHECK(anatomy.asked[i] == Binding{drawn.pair_key, drawn.pair_value});
            CHECK(query.key == drawn.query_key);
          }
        }
      }
    }
  }
}

/// A shuffle example with the given slots of 2 tokens, then queries and their labels.
struct Written {
  MqarTask task;
  Example example;
};

Written shuffle_of(std::vector<std::array<std::int32_t, 2>> slots,
                   std::vector<std::array<std::int32_t, 2>> asked) {
  const int length = static_cast<int>(4 * slots.size());
  Written written{
      make_position_task(Placement::shuffle, 100, {{length, static_cast<int>(asked.size())}}), {}};
  for (const auto& [key, value] : slots) {
    written.example.tokens.push_back(key);
    written.example.tokens.push_back(value);
  }
  int pair = 0;
  for (const auto& [key, value] : asked) {
    const int position = static_cast<int>(written.example.tokens.size());
    written.example.tokens.push_back(key);
    written.example.tokens.push_back(119);
    written.example.labels.push_back({position + 1, value, pair++});
  }
  written.example.tokens.resize(static_cast<std::size_t>(length), 118);
  return written;
}

Reading read(const Written& written) {
  return read_example(written.task, written.task.cells[0], written.example.tokens,
                      written.example.labels);
}

TEST_CASE("oracle: a key drawn twice with two values is answered by chance, both together too") {
  const Reading reading =
      read(shuffle_of({{30, 60}, {40, 61}, {30, 62}, {119, 118}}, {{30, 62}, {40, 61}, {30, 60}}));
  REQUIRE(reading.queries.size() == 3);
  CHECK(reading.queries[0].probability == 0.5);
  CHECK(reading.queries[1].probability == 1.0);
  CHECK(reading.queries[2].probability == 0.5);
  CHECK(reading.all_right == 0.5);
}

TEST_CASE("oracle: a key drawn twice with one value is no trouble") {
  const Reading reading =
      read(shuffle_of({{30, 60}, {40, 61}, {30, 60}}, {{30, 60}, {40, 61}, {30, 60}}));
  for (const Query& query : reading.queries) {
    CHECK(query.probability == 1.0);
  }
  CHECK(reading.all_right == 1.0);
}

TEST_CASE("oracle: filler that looks like a pair takes its share, other filler does not") {
  // One pair, and its key in a slot whose second token is a value, is none, is a key; odd places.
  const Reading reading =
      read(shuffle_of({{30, 60}, {30, 70}, {30, 119}, {30, 35}, {119, 30}, {60, 118}}, {{30, 60}}));
  CHECK(reading.queries[0].places.size() == 2);
  CHECK(reading.queries[0].probability == 0.5);
  CHECK(reading.all_right == 0.5);
  const Reading thrice = read(shuffle_of({{30, 60}, {30, 70}, {30, 70}, {118, 119}}, {{30, 60}}));
  CHECK(thrice.queries[0].probability == doctest::Approx(2.0 / 3));
  CHECK(thrice.queries[0].places[thrice.queries[0].best].value > 2);  // it answers 70
}

TEST_CASE("oracle: a key that the context does not bind cannot be answered") {
  const Reading reading = read(shuffle_of({{30, 60}, {118, 119}}, {{31, 60}}));
  CHECK(reading.queries[0].places.empty());
  CHECK(reading.queries[0].probability == 0.0);
  CHECK(reading.all_right == 0.0);
}

TEST_CASE("oracle: of contiguous blocks the order of the draws tells equal keys apart a little") {
  // Two pairs of one key, queries in slots 0 and 3 of 4: the pair drawn first has the near one with
  // the probability that the power law gives to drawing 0 before 3.
  const TaskDescription description{.separators = true, .sampling = IdSampling::repeated};
  const MqarTask task =
      make_task("pair", description, {.vocabulary = 40, .lengths = {30}, .pairs = {2}});
  const MqarLayout layout = layout_of(task, task.cells[0]);
  REQUIRE(layout.query_slots == 4);
  const Example example = lay_out(
      layout, {.keys = {25, 25}, .values = {45, 46}, .pair_slots = {0, 1}, .query_slots = {0, 3}});
  const auto tokens = example.tokens;
  const Reading reading = read_example(task, task.cells[0], tokens, example.labels);
  const auto w = [&](int slot) { return static_cast<double>(task.query_slots.weight(slot)); };
  const double all = w(0) + w(1) + w(2) + w(3);
  const double near_first = w(0) / all * w(3) / (all - w(0));
  const double far_first = w(3) / all * w(0) / (all - w(3));
  const double expected = near_first / (near_first + far_first);
  REQUIRE(expected > 0.5);
  CHECK(reading.queries[0].probability == doctest::Approx(expected));
  CHECK(reading.queries[1].probability == doctest::Approx(expected));
  CHECK(answer_of(reading.queries[0], example) == std::vector<std::int32_t>{45});
  CHECK(answer_of(reading.queries[1], example) == std::vector<std::int32_t>{46});
  CHECK(reading.all_right == doctest::Approx(expected));
}

/// How often the answers are right against how often they should be, over a whole task.
void check_calibrated(const MqarTask& task, int examples) {
  double expected = 0, variance = 0, right = 0;
  double all_expected = 0, all_right = 0, all_variance = 0;
  for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
    for (int sample = 0; sample < examples; sample++) {
      const Example example =
          generate(task, Split::test, 0, cell, static_cast<std::uint64_t>(sample));
      const Reading reading = read_example(task, task.cells[cell], example.tokens, example.labels);
      bool all = true;
      for (const Query& query : reading.queries) {
        const bool one = is_right(query, example);
        expected += query.probability;
        // Errors of equal keys come in pairs: twice the variance of independent ones at most.
        variance += 2 * query.probability * (1 - query.probability);
        right += one ? 1 : 0;
        all = all && one;
      }
      all_expected += reading.all_right;
      all_variance += reading.all_right * (1 - reading.all_right);
      all_right += all ? 1 : 0;
    }
  }
  CAPTURE(task.name);
  REQUIRE(variance > 5);  // there is something to be uncertain about
  CHECK(std::abs(right - expected) < 4 * std::sqrt(variance));
  // Answered one by one the likeliest way, all are right at most as often as together.
  CHECK(all_right <= all_expected + 4 * std::sqrt(all_variance));
}

TEST_CASE("oracle: it is right as often as it says, in tasks with many equal keys") {
  TaskSizes sizes{.vocabulary = 60, .lengths = {64, 128}, .pairs = {2, 4, 8, 16}};
  check_calibrated(make_named_task("shuffle", sizes), 300);
  check_calibrated(make_named_task("k1v1", sizes), 500);
  check_calibrated(make_named_task("k1v2-shuffle", sizes), 500);
  TaskDescription uniform = find_task("k1v1")->description;
  uniform.query_power = 1;
  check_calibrated(make_task("uniform", uniform, sizes), 500);
  TaskDescription decoys = find_task("ngram-robustness-text")->description;
  decoys.cells = "128x4 256x8";
  check_calibrated(make_task("decoys", decoys, {.vocabulary = 24}), 500);
}

TEST_CASE("oracle: contiguous pairs with distinct keys are answered without doubt") {
  for (const Placement placement : {Placement::standard, Placement::last}) {
    const MqarTask task = paper_position_task(placement);
    for (const std::size_t cell : {std::size_t{0}, std::size_t{18}, std::size_t{25}}) {
      const Ceiling ceiling = ceiling_of(task, Split::test, 0, cell, 40);
      CHECK(ceiling.pair == 100.0);
      CHECK(ceiling.case_ == 100.0);
    }
  }
}

std::size_t cell_index(const MqarTask& task, const Cell& cell) {
  const auto at = std::find(task.cells.begin(), task.cells.end(), cell);
  REQUIRE(at != task.cells.end());
  return static_cast<std::size_t>(at - task.cells.begin());
}

std::vector<Example> examples_of(const MqarTask& task, std::size_t cell, int count) {
  std::vector<Example> examples;
  for (int i = 0; i < count; i++) {
    examples.push_back(generate(task, Split::test, 0, cell, static_cast<std::uint64_t>(i)));
  }
  return examples;
}

TEST_CASE("oracle: the paper's shuffle set contradicts itself as much as its rules make it") {
  // 128 pairs fill all slots, so only keys drawn twice are ambiguous. Of 128 keys among 9,999 a
  // query has a twin with probability 127/9999 = 1.27 %, and half of those cannot be right.
  const MqarTask task = paper_position_task(Placement::shuffle);
  const Cell dense = {512, 128};
  const CellAudit audit =
      audit_cell(task, dense, Split::test, examples_of(task, cell_index(task, dense), 2000));
  const double queries = static_cast<double>(audit.queries);
  CHECK(audit.broken == 0);
  CHECK(100.0 * static_cast<double>(audit.contradictory) / queries ==
        doctest::Approx(1.27).epsilon(0.08));
  CHECK(100.0 - audit.ceiling.pair == doctest::Approx(0.635).epsilon(0.08));
  // An example has a pair of equal keys with probability 1 - exp(-128 * 127 / 2 / 9999) = 55.6 %.
  CHECK(static_cast<double>(audit.contradictory_examples) / 2000 ==
        doctest::Approx(0.556).epsilon(0.07));
  // Each such pair halves the chance to have everything right: exp(-0.813 / 2) = 66.6 %.
  CHECK(audit.ceiling.case_ == doctest::Approx(66.6).epsilon(0.03));
  CHECK(audit.lookalikes == 0);
}

TEST_CASE("oracle: filler that looks like the pair is as frequent as its rules make it") {
  // One pair in 128 slots: each of the others binds its key with probability 1/20000 * 1/2.
  const MqarTask task = paper_position_task(Placement::shuffle);
  const Cell sparse = {512, 1};
  const CellAudit audit =
      audit_cell(task, sparse, Split::test, examples_of(task, cell_index(task, sparse), 20000));
  CHECK(audit.broken == 0);
  CHECK(audit.contradictory == 0);
  CHECK(static_cast<double>(audit.lookalikes) / 20000 == doctest::Approx(0.00317).epsilon(0.4));
  CHECK(100 - audit.ceiling.pair == doctest::Approx(0.16).epsilon(0.4));
  // The key stands somewhere in 254 + filler tokens before its query.
  const double met = static_cast<double>(audit.met_in_filler) / 20000;
  CHECK(met > 0.010);
  CHECK(met < 0.020);
}

TEST_CASE("oracle: the shuffle set's ceiling, mean over the paper's cells, is about 99.9") {
  const MqarTask task = paper_position_task(Placement::shuffle);
  std::vector<Ceiling> cells;
  for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
    cells.push_back(ceiling_of(task, Split::test, 0, cell, 100));
  }
  const double pair = mean_ceiling(cells).pair;
  CHECK(pair > 99.75);
  CHECK(pair < 99.95);
}

TEST_CASE("oracle: labels that no query can have are refused in a sentence") {
  Written written = shuffle_of({{30, 60}, {40, 61}}, {{30, 60}});
  written.example.labels[0].position++;
  CHECK_THROWS_WITH_AS(read(written), doctest::Contains("belongs to no query"), Error);
}

}  // namespace
}  // namespace farsight
