#include "train/repro/seeds.h"

#include <array>
#include <cmath>
#include <numeric>

#include "core/check.h"

namespace farsight {

double student_t_975(std::int64_t degrees) {
  check(degrees >= 1, "student_t_975: degrees must be at least 1, got {}", degrees);
  constexpr auto kQuantiles = std::to_array<double>(
      {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
       2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
       2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042});
  const auto index = static_cast<std::size_t>(degrees - 1);
  if (index < kQuantiles.size()) return kQuantiles[index];
  // The first terms of its expansion in 1 / degrees; within 0.001 from 31 degrees on.
  constexpr double kNormal = 1.959964;
  const double n = static_cast<double>(degrees);
  return kNormal + (std::pow(kNormal, 3) + kNormal) / (4 * n);
}

SeedStatistics seed_statistics(std::span<const double> values) {
  check(!values.empty(), "seed_statistics: there are no values");
  const double n = static_cast<double>(values.size());
  SeedStatistics result{.count = static_cast<std::int64_t>(values.size()),
                        .mean = std::accumulate(values.begin(), values.end(), 0.0) / n};
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) {
    squares += (value - result.mean) * (value - result.mean);
  }
  result.spread = std::sqrt(squares / (n - 1));
  result.half_width = student_t_975(result.count - 1) * result.spread / std::sqrt(n);
  return result;
}

}  // namespace farsight
