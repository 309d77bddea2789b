#include "bench/measurement.h"

#include <algorithm>

#include "core/check.h"

namespace farsight::bench {

Repetition::Repetition(const Effort& effort) : effort_(effort), start_(seconds_now()) {}

bool Repetition::wanted() {
  return runs_++ < effort_.least_runs || seconds_now() - start_ < effort_.seconds;
}

double median(std::vector<double> values) {
  check(!values.empty(), "median: values must not be empty");
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace farsight::bench
