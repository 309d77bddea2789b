// That the generator's examples never change.
#include <doctest/doctest.h>

#include <cstdint>

#include "data/mqar.h"

namespace farsight {
namespace {

/// FNV-1a over tokens and labels.
std::uint64_t fingerprint(const MqarTask& task) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](std::int64_t number) {
    hash = (hash ^ static_cast<std::uint64_t>(number)) * 0x100000001b3u;
  };
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    for (const std::size_t cell : {std::size_t{0}, std::size_t{9}, task.cells.size() - 1}) {
      const Example example = generate(task, split, kDefaultSeed, cell, 17);
      for (const std::int32_t token : example.tokens) {
        add(token);
      }
      for (const Label& label : example.labels) {
        add(label.position);
        add(label.target);
        add(label.pair);
      }
    }
  }
  return hash;
}

TEST_CASE("mqar: the data is the data of every earlier version") {
  // A change here makes new runs incomparable with old ones: say so in the changelog.
  CHECK(fingerprint(paper_position_task(Placement::standard)) == 0xc92e5089d94152a6u);
  CHECK(fingerprint(paper_position_task(Placement::last)) == 0x72fb9dc53e41b2efu);
  CHECK(fingerprint(paper_position_task(Placement::shuffle)) == 0x648a9cb9be0d12b4u);
}

}  // namespace
}  // namespace farsight
