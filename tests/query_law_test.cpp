// Where the queries of block tasks lie: p(i) ~ i^(a-1) over their places.
#include <cmath>

#include "tests/task_examples.h"

namespace farsight {
namespace {

/// How often pair 0's query takes each slot of a cell.
std::vector<int> first_slots(const MqarTask& task, std::size_t cell, int trials) {
  const MqarLayout layout = layout_of(task, task.cells[cell]);
  std::vector<int> seen(static_cast<std::size_t>(layout.query_slots), 0);
  for (int sample = 0; sample < trials; sample++) {
    const Example example =
        generate(task, Split::test, 0, cell, static_cast<std::uint64_t>(sample));
    const int begin = example.pairs[0].query_key - layout.key_offset() - layout.query_begin;
    seen.at(static_cast<std::size_t>(begin / layout.slot()))++;
  }
  return seen;
}

double chi_square(const std::vector<int>& seen, double power) {
  double mass = 0, sum = 0, total = 0;
  for (std::size_t i = 0; i < seen.size(); i++) {
    mass += std::pow(static_cast<double>(i + 1), power - 1);
    total += seen[i];
  }
  for (std::size_t i = 0; i < seen.size(); i++) {
    const double expected = total * std::pow(static_cast<double>(i + 1), power - 1) / mass;
    sum += (seen[i] - expected) * (seen[i] - expected) / expected;
  }
  return sum;
}

TEST_CASE("blocks: queries keep to the power law, and to another one when it is declared") {
  constexpr int kTrials = 20'000;
  const MqarTask task = make_named_task("k2v2");
  const auto law = [](const MqarTask& of, std::size_t cell, double power) {
    const std::vector<int> seen = first_slots(of, cell, kTrials);
    const double degrees = static_cast<double>(seen.size()) - 1;
    return chi_square(seen, power) <= degrees + 4 * std::sqrt(2 * degrees);
  };
  CHECK(law(task, 0, 0.01));   // 64 tokens, 1 pair: 8 slots
  CHECK(law(task, 11, 0.01));  // 256 tokens, 8 pairs
  CHECK(!law(task, 11, 1));
  TaskDescription uniform = task.description;
  uniform.query_power = 1;
  CHECK(law(make_task("uniform", uniform, {}), 11, 1));
  uniform.query_power = 0.5;
  CHECK(law(make_task("half", uniform, {}), 11, 0.5));
}

}  // namespace
}  // namespace farsight
