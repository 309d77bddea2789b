// The grids, vocabularies and seeds of the position tasks, and what they refuse.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/check.h"
#include "data/batches.h"
#include "data/mqar.h"

namespace farsight {
namespace {

/// The message of the ExitCode::data error that `body` must throw.
template <class Body>
std::string refusal(Body body) {
  try {
    body();
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::data);
    return error.what();
  }
  return "nothing was refused";
}

bool mentions(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    if (text.find(part) == std::string::npos) {
      MESSAGE("missing '", part, "' in: ", text);
      return false;
    }
  }
  return true;
}

TEST_CASE("mqar: the paper's grid has its 26 cells, length first, and its totals") {
  const MqarTask task = paper_position_task(Placement::standard);
  std::vector<Cell> expected;
  for (const int length : {64, 128, 256, 512}) {
    for (int pairs = 1; 4 * pairs <= length; pairs *= 2) {
      expected.push_back({length, pairs});
    }
  }
  CHECK(task.cells == expected);
  CHECK(task.cells.size() == 26);
  CHECK(task.cells.front() == Cell{64, 1});
  CHECK(task.cells.back() == Cell{512, 128});
  const TrainLoader loader(task, {});
  CHECK(loader.examples_per_epoch() == 520'000);
  CHECK(loader.tokens_per_epoch() == 139'520'000);
  CHECK(loader.labels_per_epoch() == 9'520'000);
  CHECK(loader.steps_per_epoch() == 3'250);
  std::int64_t test_pairs = 0;
  for (const Cell& cell : task.cells) {
    test_pairs += cell.pairs * kPaperTestExamples;
  }
  CHECK(test_pairs == 47'600);
}

TEST_CASE("mqar: the paper's ids: keys below 10,000, values above, filler 20 to 20,019") {
  for (const Placement placement : kPlacements) {
    const MqarTask task = paper_position_task(placement);
    CHECK(task.name == placement_name(placement));
    CHECK(task.keys.first == 1);
    CHECK(task.keys.last == 9'999);
    CHECK(task.values.first == 10'000);
    CHECK(task.values.last == 19'999);
    CHECK(task.filler.first == 20);
    CHECK(task.filler.last == 20'019);
    CHECK(task.model_vocabulary() == 20'020);
  }
}

TEST_CASE("mqar: a small vocabulary is halved like the large one and leaves id 0 alone") {
  for (const int vocabulary : {40, 41, 236, 492}) {
    const MqarTask task = make_position_task(Placement::last, vocabulary, {{32, 4}});
    CHECK(task.keys.first == 1);
    CHECK(task.keys.last + 1 == task.values.first);
    CHECK(task.values.first == vocabulary / 2);
    CHECK(task.values.last == vocabulary - 1);
    CHECK(task.filler.first == 20);
    CHECK(task.filler.size() == vocabulary);
    CHECK(task.model_vocabulary() == vocabulary + 20);
  }
}

TEST_CASE("mqar: a grid is sorted whatever the order asked, and may hold odd sizes") {
  CHECK(position_grid({30, 12}, {7, 3}) == std::vector<Cell>{{12, 3}, {30, 3}, {30, 7}});
  CHECK(position_grid({4}, {1}) == std::vector<Cell>{{4, 1}});
}

TEST_CASE("mqar: lengths and pairs that no cell admits are refused by name") {
  CHECK(mentions(refusal([] { position_grid({16, 512}, {8, 32}); }), {"length 16", "8", "32"}));
  CHECK(mentions(refusal([] { position_grid({64, 128}, {4, 33}); }), {"33 pairs", "132", "128"}));
  CHECK(mentions(refusal([] { position_grid({3}, {1}); }), {"length 3", "at least 4"}));
  CHECK(mentions(refusal([] { position_grid({-64}, {1}); }), {"length -64"}));
  CHECK(mentions(refusal([] { position_grid({64}, {0, 1}); }), {"at least 1, got 0"}));
  CHECK(mentions(refusal([] { position_grid({64, 64}, {1}); }), {"length 64", "twice"}));
  CHECK(mentions(refusal([] { position_grid({}, {1}); }), {"at least one length"}));
  CHECK(mentions(refusal([] { position_grid({64}, {2'000'000'000}); }), {"8000000000"}));
  CHECK(mentions(refusal([] {
                   make_position_task(Placement::standard, 100, {{64, 17}});
                 }),
                 {"standard", "length 64 with 17 pairs"}));
  CHECK(mentions(refusal([] { make_position_task(Placement::standard, 100, {}); }), {"no cell"}));
}

TEST_CASE("mqar: a vocabulary too small for the keys is refused, at exactly the right size") {
  for (const Placement placement : {Placement::standard, Placement::last}) {
    CHECK(make_position_task(placement, 34, {{64, 16}}).keys.size() == 16);
    CHECK(mentions(refusal([=] {
                     make_position_task(placement, 33, {{64, 16}});
                   }),
                   {"16 pairs", "at least 34", "got 33"}));
  }
  CHECK(make_position_task(Placement::shuffle, 4, {{64, 16}}).keys.size() == 1);
  CHECK(mentions(refusal([] {
                   make_position_task(Placement::shuffle, 3, {{64, 1}});
                 }),
                 {"4 to", "got 3"}));
  CHECK(mentions(refusal([] {
                   make_position_task(Placement::shuffle, -8, {{64, 1}});
                 }),
                 {"got -8"}));
  CHECK(mentions(refusal([] {
                   make_position_task(Placement::shuffle, 2'000'000'000, {{64, 1}});
                 }),
                 {"got 2000000000"}));
}

TEST_CASE("mqar: splits have the paper's seeds, and a run's seed moves the training data alone") {
  CHECK(split_seed(Split::train, kDefaultSeed, 0) == 42);
  CHECK(split_seed(Split::train, kDefaultSeed, 25) == 67);
  CHECK(split_seed(Split::train, 7, 3) == 10);
  CHECK(split_seed(Split::valid, 7, 3) == 1237);
  CHECK(split_seed(Split::test, 7, 3) == 4570);
  const MqarTask task = paper_position_task(Placement::standard);
  CHECK(generate(task, Split::train, 42, 4, 0) != generate(task, Split::train, 43, 4, 0));
  CHECK(generate(task, Split::valid, 42, 4, 0) == generate(task, Split::valid, 43, 4, 0));
  CHECK(generate(task, Split::test, 42, 4, 0) == generate(task, Split::test, 43, 4, 0));
}

TEST_CASE("mqar: no training seed brings up validation or test data") {
  const MqarTask task = paper_position_task(Placement::standard);
  CHECK(generate(task, Split::train, 1234, 4, 0) != generate(task, Split::valid, 42, 4, 0));
  CHECK(generate(task, Split::train, 4567, 4, 0) != generate(task, Split::test, 42, 4, 0));
}

}  // namespace
}  // namespace farsight
