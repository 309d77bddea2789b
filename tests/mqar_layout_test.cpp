// Where given pairs and queries land, token by token.
#include <doctest/doctest.h>

#include <vector>

#include "core/check.h"
#include "data/mqar.h"

namespace farsight {
namespace {

/// The layout of two bare pairs in 16 tokens.
MqarLayout layout_in(Placement placement) {
  const MqarTask task = make_position_task(placement, 64, {{16, 2}});
  return layout_of(task, task.cells[0]);
}

TEST_CASE("mqar: the worked example of the standard layout") {
  const PairDraws draws = {
      .keys = {5, 7}, .values = {11, 13}, .pair_slots = {0, 1}, .query_slots = {0, 3}};
  const Example example = lay_out(layout_in(Placement::standard), draws);
  CHECK(example.tokens ==
        std::vector<std::int32_t>{5, 11, 7, 13, 5, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0});
  CHECK(example.labels == std::vector<Label>{{5, 11, 0}, {11, 13, 1}});
}

TEST_CASE("mqar: last and shuffle lay the same draws out as their tables say") {
  PairDraws draws = {
      .keys = {5, 7}, .values = {11, 13}, .pair_slots = {0, 1}, .query_slots = {2, 0}};
  const Example last = lay_out(layout_in(Placement::last), draws);
  CHECK(last.tokens == std::vector<std::int32_t>{0, 0, 0, 0, 5, 11, 7, 13, 7, 0, 0, 0, 5, 0, 0, 0});
  CHECK(last.labels == std::vector<Label>{{9, 13, 1}, {13, 11, 0}});
  draws.pair_slots = {3, 1};
  const Example shuffled = lay_out(layout_in(Placement::shuffle), draws);
  CHECK(shuffled.tokens ==
        std::vector<std::int32_t>{0, 0, 7, 13, 0, 0, 5, 11, 7, 0, 0, 0, 5, 0, 0, 0});
}

TEST_CASE("mqar: a layout with a slot used twice or out of its region is refused") {
  const auto laid = [](std::vector<int> pair_slots, std::vector<int> query_slots) {
    lay_out(layout_in(Placement::shuffle), {{5, 7}, {11, 13}, pair_slots, query_slots});
  };
  CHECK_NOTHROW(laid({0, 1}, {0, 1}));
  CHECK_THROWS_AS(laid({1, 1}, {0, 1}), Error);
  CHECK_THROWS_AS(laid({0, 1}, {2, 2}), Error);
  CHECK_THROWS_AS(laid({0, 4}, {0, 1}), Error);
  CHECK_THROWS_AS(laid({0, 1}, {0, 4}), Error);
  CHECK_THROWS_AS(laid({0, -1}, {0, 1}), Error);
  CHECK_THROWS_AS(laid({0}, {0, 1}), Error);
}

TEST_CASE("mqar: zero filler changes the filler alone") {
  for (const Placement placement : kPlacements) {
    const MqarTask random = paper_position_task(placement);
    MqarTask zero = random;
    zero.filler = {kEmpty, kEmpty};
    const Example filled = generate(random, Split::test, 42, 20, 5);
    const Example bare = generate(zero, Split::test, 42, 20, 5);
    CHECK(bare.labels == filled.labels);
    int pieces = 0;
    for (std::size_t position = 0; position < bare.tokens.size(); position++) {
      if (bare.tokens[position] == kEmpty) continue;
      CHECK(bare.tokens[position] == filled.tokens[position]);
      pieces++;
    }
    CHECK(pieces == 3 * random.cells[20].pairs);
  }
}

}  // namespace
}  // namespace farsight
