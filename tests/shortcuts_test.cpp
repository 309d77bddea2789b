// Shortcut indices: readers that use one shortcut and nothing else score 1 on its index, a perfect
// reader 0 on all, and what cannot be measured has no value.
#include <doctest/doctest.h>

#include "eval/shortcuts.h"
#include "tests/synthetic_readers.h"

namespace farsight {
namespace {

const TaskSizes kSizes{.vocabulary = 20'000, .lengths = {64, 128}, .pairs = {1, 2, 4}};

ShortcutIndices indices_of(std::string_view home, const std::vector<std::string>& names,
                           const Reader& reader, const TaskSizes& sizes = kSizes) {
  std::vector<TaskAnswers> tested;
  for (const std::string& name : names) {
    TaskDescription d = find_task(name)->description;
    if (!d.cells.empty()) d.cells = "64x1 64x2 128x1 128x4";
    const MqarTask task = make_task(name, d, sizes);
    tested.push_back({task, answers_by(task, reader, 25)});
  }
  return shortcut_indices(make_named_task(home, sizes), tested);
}

const std::vector<std::string> kPositions = {"standard", "last", "shuffle"};
const std::vector<std::string> kNgrams = {"k2v2", "ngram-robustness", "ngram-robustness-text"};

TEST_CASE("shortcuts: a perfect reader has none") {
  for (const char* home : {"standard", "last"}) {
    const ShortcutIndices indices = indices_of(home, kPositions, perfect_reader);
    REQUIRE(indices.position.has_value());
    CHECK(*indices.position == 0.0);
    REQUIRE(indices.anchor.has_value());
    CHECK(*indices.anchor == 0.0);
    CHECK_FALSE(indices.last_key_token.has_value());  // keys of one token have no last one
  }
  const ShortcutIndices indices = indices_of("k2v2", kNgrams, perfect_reader);
  CHECK(indices.last_key_token == 0.0);
  CHECK(indices.anchor == 0.0);
  CHECK_FALSE(indices.position.has_value());  // no other placement was tested
}

TEST_CASE("shortcuts: ambiguous data make no shortcut of a perfect reader") {
  // 30 keys for up to 16 pairs: many are drawn twice, and half of those are answered wrongly.
  const TaskSizes dense{.vocabulary = 60, .lengths = {64}, .pairs = {4, 8, 16}};
  const ShortcutIndices indices = indices_of("standard", kPositions, perfect_reader, dense);
  CHECK(indices.position == 0.0);
  CHECK(indices.anchor == 0.0);
  CHECK(indices_of("k1v1", {"k1v1", "k1v1-shuffle"}, perfect_reader, dense).position == 0.0);
}

TEST_CASE("shortcuts: a reader of one place of the context relies on position and nothing else") {
  for (const char* home : {"standard", "last", "k2v2"}) {
    CAPTURE(home);
    const std::string name = home;
    const std::vector<std::string> tested =
        name == "k2v2" ? std::vector<std::string>{"k2v2", "k2v2-shuffle"} : kPositions;
    const ShortcutIndices indices =
        indices_of(home, tested, position_reader(make_named_task(home, kSizes)));
    CHECK(indices.position == 1.0);
    CHECK(indices.anchor == 0.0);
  }
}

TEST_CASE("shortcuts: a reader that finds half of the moved pairs relies on position by half") {
  const MqarTask home = make_named_task("standard", kSizes);
  int turn = 0;
  const Reader half = [&](const Sight& sight) -> std::optional<Binding> {
    const auto place = position_reader(home)(sight);
    if (place || turn++ % 2 == 0) return perfect_reader(sight);
    return {};
  };
  const ShortcutIndices indices = indices_of("standard", kPositions, half);
  REQUIRE(indices.position.has_value());
  CHECK(*indices.position == doctest::Approx(0.5).epsilon(0.1));
}

TEST_CASE("shortcuts: a reader of the last key token relies on it and nothing else") {
  for (const char* noise : {"ngram-robustness", "ngram-robustness-text"}) {
    CAPTURE(noise);
    const ShortcutIndices indices =
        indices_of("k2v2", {"k2v2", noise, "k2v2-shuffle"}, last_key_reader);
    REQUIRE(indices.last_key_token.has_value());
    // Of a pair and its decoy the first one is right half of the time; 25 examples a cell.
    const bool decoys = std::string_view(noise) == "ngram-robustness-text";
    CHECK(*indices.last_key_token == doctest::Approx(1.0).epsilon(decoys ? 0.15 : 0.002));
    CHECK(*indices.anchor == doctest::Approx(0).epsilon(0.002));
    CHECK(*indices.position == doctest::Approx(0).epsilon(0.002));
  }
}

TEST_CASE("shortcuts: a reader of whatever stands behind an anchor relies on it alone") {
  for (const char* home : {"standard", "k2v2", "k1v2"}) {
    CHECK(*indices_of(home, {home}, anchor_reader).anchor == doctest::Approx(1.0));
  }
}

TEST_CASE("shortcuts: what cannot be measured has no value") {
  const Reader mute = [](const Sight&) -> std::optional<Binding> { return {}; };
  const ShortcutIndices unable = indices_of("standard", kPositions, mute);
  CHECK_FALSE(unable.position.has_value());  // it cannot even do its own task
  CHECK_FALSE(unable.anchor.has_value());
  CHECK_FALSE(indices_of("standard", {"last"}, perfect_reader).position.has_value());
  CHECK_FALSE(indices_of("standard", {"standard"}, perfect_reader).position.has_value());
  // Shuffled pairs are everywhere in the first half: no other place is left.
  CHECK_FALSE(indices_of("shuffle", kPositions, perfect_reader).position.has_value());
  CHECK_FALSE(indices_of("induction", {"induction"}, perfect_reader).anchor.has_value());
}

}  // namespace
}  // namespace farsight
