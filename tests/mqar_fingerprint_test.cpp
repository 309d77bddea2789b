// That the generator's examples never change.
#include <doctest/doctest.h>

#include "tests/task_fingerprint.h"

namespace farsight {
namespace {

std::uint64_t fingerprint(Placement placement) {
  const MqarTask task = paper_position_task(placement);
  return task_fingerprint(task, {Split::train, Split::valid, Split::test},
                          {0, 9, task.cells.size() - 1});
}

TEST_CASE("mqar: the data is the data of every earlier version") {
  // A change here makes new runs incomparable with old ones: say so in the changelog.
  CHECK(fingerprint(Placement::standard) == 0xc92e5089d94152a6u);
  CHECK(fingerprint(Placement::last) == 0x72fb9dc53e41b2efu);
  CHECK(fingerprint(Placement::shuffle) == 0x648a9cb9be0d12b4u);
}

}  // namespace
}  // namespace farsight
