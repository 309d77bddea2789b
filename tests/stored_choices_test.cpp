// The file of choices made on a GPU: what is written comes back, and a damaged file costs nothing
// but the choices in its damaged lines.
#include "core/stored_choices.h"

#include <doctest/doctest.h>

#include <fstream>

#include "tests/temporary_folder.h"

namespace farsight {
namespace {

constexpr StoredChoices::Words kSome = {1, 2, 0xffffffffffffffff, 4, 0, 6, 7, 8};

TEST_CASE("stored choices: what was chosen is found by the next run, the first choice of a name") {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "deeper" / "choices.txt";
  {
    StoredChoices choices(file);
    CHECK(choices.find("linear 1 2 = bf16") == nullptr);
    choices.add("linear 1 2 = bf16", kSome);
    choices.add("linear 1 2 = bf16", {});
    choices.add("linear 3", {});
    REQUIRE(choices.find("linear 1 2 = bf16") != nullptr);
    CHECK(*choices.find("linear 1 2 = bf16") == kSome);
  }
  const StoredChoices again(file);
  REQUIRE(again.find("linear 1 2 = bf16") != nullptr);
  CHECK(*again.find("linear 1 2 = bf16") == kSome);
  CHECK(again.find("linear 3") != nullptr);
  CHECK(again.find("linear 4") == nullptr);
}

TEST_CASE("stored choices: lines that cannot be read are passed over") {
  const TemporaryFolder folder;
  const std::filesystem::path file = folder.path() / "choices.txt";
  std::ofstream(file) << "good = 1 2 3 4 5 6 7 8\nshort = 1 2 3\nlong = 1 2 3 4 5 6 7 8 9\n"
                         "letters = 1 2 3 x 5 6 7 8\nno words\n = 1 2 3 4 5 6 7 8\n\n"
                         "huge = 1 2 3 4 5 6 7 11111111111111111\ncut off = 1 2 3 4";
  const StoredChoices choices(file);
  REQUIRE(choices.find("good") != nullptr);
  CHECK((*choices.find("good"))[7] == 8);
  for (const char* name : {"short", "long", "letters", "no words", "huge", "cut off"}) {
    CHECK(choices.find(name) == nullptr);
  }
}

TEST_CASE("stored choices: a place that cannot be written is no error") {
  StoredChoices choices(std::filesystem::path("/proc/nowhere/choices.txt"));
  choices.add("a", kSome);
  CHECK(choices.find("a") != nullptr);
}

}  // namespace
}  // namespace farsight
