// Answers of readers whose rule is known: where they come from, and what breakdowns make of them.
#include <doctest/doctest.h>

#include "core/json.h"
#include "eval/breakdown.h"
#include "tests/synthetic_readers.h"

namespace farsight {
namespace {

const TaskSizes kSizes{.vocabulary = 20'000, .lengths = {64, 128}, .pairs = {2, 4}};

TEST_CASE("answers: places are those that the pairs were put in, in every placement") {
  for (const Placement placement : kPlacements) {
    const MqarTask task = make_named_task(placement_name(placement), kSizes);
    for (const PairAnswer& answer : answers_by(task, perfect_reader, 10)) {
      const Example example = generate(task, Split::test, 0, answer.cell, answer.sample);
      const PairPlaces& places = example.pairs[static_cast<std::size_t>(answer.pair)];
      CHECK(answer.pair_key == places.pair_key);
      CHECK(answer.query_key == places.query_key);
      CHECK(answer.truth ==
            std::vector<std::int32_t>{example.tokens[static_cast<std::size_t>(places.pair_value)]});
      CHECK(answer.right());
    }
  }
}

TEST_CASE("answers: a wrong answer is another pair's or nobody's") {
  const MqarTask task = make_named_task("k2v2", kSizes);
  std::int64_t own = 0, other = 0;
  for (const PairAnswer& answer : answers_by(task, anchor_reader, 20)) {
    REQUIRE(answer.answer.size() == 2);
    own += answer.source == Source::own ? 1 : 0;
    other += answer.source == Source::other ? 1 : 0;
    CHECK(answer.right() == (answer.answer == answer.truth));
  }
  // One right answer an example: cells 64x2, 64x4, 128x2, 128x4.
  CHECK(own == 4 * 20);
  CHECK(other == (1 + 3 + 1 + 3) * 20);
  const Reader mute = [](const Sight&) -> std::optional<Binding> { return {}; };
  for (const PairAnswer& answer : answers_by(task, mute, 5)) {
    CHECK(answer.source == Source::none);
  }
}

/// Answers with section `section`'s value, of every query but each `period`-th.
Reader section_reader(std::size_t section, int period) {
  return [=, turn = 0](const Sight& sight) mutable -> std::optional<Binding> {
    if (++turn % period == 0) return {};
    return sight.query.places[section];
  };
}

TEST_CASE("answers: with sections any of the values is right, and the shares say which") {
  for (const char* name : {"position-robustness", "position-robustness-code"}) {
    const MqarTask task = make_named_task(name, kSizes);
    for (std::size_t section = 0; section < 4; section++) {
      const std::vector<PairAnswer> answers = answers_by(task, section_reader(section, 1000), 20);
      for (const PairAnswer& answer : answers) {
        CHECK(answer.right());
        CHECK(answer.section == static_cast<int>(section));
      }
      const auto shares = section_shares(task, answers);
      REQUIRE(shares.has_value());
      CHECK(shares->section[section] == doctest::Approx(100));
      CHECK(shares->none == doctest::Approx(0));
    }
  }
  const MqarTask task = make_task(
      "sections",
      [] {
        TaskDescription d = find_task("position-robustness")->description;
        d.cells = "64x2 64x4";
        return d;
      }(),
      kSizes);
  const auto shares = section_shares(task, answers_by(task, section_reader(2, 2), 20));
  REQUIRE(shares.has_value());
  CHECK(shares->section[2] == doctest::Approx(50));
  CHECK(shares->none == doctest::Approx(50));
  CHECK_FALSE(section_shares(make_named_task("standard", kSizes), {}).has_value());
}

TEST_CASE("answers: accepted predictions are scored as any section's value is") {
  TaskDescription d = find_task("position-robustness")->description;
  d.cells = "64x4";
  const MqarTask task = make_task("sections", d, kSizes);
  const Batch batch = evaluation_batches(task, Split::test, 0, 3, 4096).front();
  const auto predictions = predictions_of(task, batch, section_reader(3, 1000));
  CHECK(predictions != batch.targets);
  CHECK(accepted(task, batch, predictions) == batch.targets);
  auto wrong = predictions;
  wrong[1] = 5;
  CHECK(accepted(task, batch, wrong)[1] == 5);
  const MqarTask plain = make_named_task("shuffle", kSizes);
  const Batch other = evaluation_batches(plain, Split::test, 0, 3, 4096).front();
  CHECK(accepted(plain, other, std::vector<std::int32_t>(other.targets.size(), 7)) ==
        std::vector<std::int32_t>(other.targets.size(), 7));
}

TEST_CASE("answers: bins hold every pair once, at its place and distance") {
  const MqarTask task = make_named_task("last", kSizes);
  const std::vector<PairAnswer> answers = answers_by(task, perfect_reader, 20);
  const Breakdown breakdown = breakdown_of(task, answers);
  std::int64_t placed = 0, far = 0;
  for (const Bin& bin : breakdown.by_position) {
    placed += bin.pairs.total;
    CHECK(bin.pairs.percent() == 100.0);
    CHECK(bin.begin >= 35.0);  // 64x4: tokens 24 to 31, from 37.5 % on
    CHECK(bin.end <= 50.0);
  }
  for (const Bin& bin : breakdown.by_distance) {
    far += bin.pairs.total;
    CHECK(bin.end == 2 * bin.begin);
  }
  CHECK(placed == static_cast<std::int64_t>(answers.size()));
  CHECK(far == placed);
  for (const PairAnswer& answer : answers) {
    CHECK(answer.distance() >= 2);
  }
}

TEST_CASE("answers: a line of JSON has what people need for statistics of their own") {
  const MqarTask task = make_named_task("standard", kSizes);
  const PairAnswer answer{.cell = 1,
                          .sample = 7,
                          .pair = 3,
                          .pair_key = 6,
                          .query_key = 20,
                          .attainable = 1,
                          .source = Source::other,
                          .truth = {11000},
                          .answer = {12000}};
  CHECK(json_line(task, answer) ==
        R"({"task":"standard","length":64,"pairs":4,"example":7,"pair":3,"pair_position":6,)"
        R"("query_position":20,"distance":14,"truth":[11000],"answer":[12000],"right":false,)"
        R"("source":"other","attainable":1.0})");
}

}  // namespace
}  // namespace farsight
