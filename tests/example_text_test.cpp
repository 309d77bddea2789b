// An example as a person reads it.
#include "data/example_text.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/set_examples.h"

namespace farsight {
namespace {

TEST_CASE("example text: says what tokens are and what is asked, in colours only where wanted") {
  const MqarTask task = make_position_task(Placement::standard, 20'000, {{16, 2}});
  Example example;
  example.tokens = {7, 10001, 9, 10002, 7, 30, 31, 32, 33, 34, 9, 35, 36, 37, 38, 39};
  example.labels = {{5, 10001, 0}, {11, 10002, 1}};
  const std::string plain = example_text(task, {16, 2}, Split::test, example, {.columns = 80});
  has(plain, "task standard, test split, 16 tokens, 2 pairs");
  has(plain, " 0      k7 v10001     k9 v10002     q7     30     31     32\n");
  has(plain, "query at 4: 7 -> 10001, bound at 0, 4 tokens before\n");
  has(plain, "query at 10: 9 -> 10002, bound at 2, 8 tokens before\n");
  CHECK(plain.find('\x1b') == std::string::npos);
  const std::string coloured =
      example_text(task, {16, 2}, Split::test, example, {.colour = true, .columns = 40});
  has(coloured, "\x1b[36m      7\x1b[0m");
  has(coloured, "\x1b[32m  10001\x1b[0m");
  example.labels[0].target = 5;
  has(example_text(task, {16, 2}, Split::test, example, {}), "broken: the query at position 4");
  example.tokens.clear();
  has(example_text(task, {16, 2}, Split::test, example, {}), "broken: there are 0 tokens");
}

}  // namespace
}  // namespace farsight
