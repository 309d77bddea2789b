// What several seeds say of one number.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace farsight {

/// Of n measurements that differ by their seed.
struct SeedStatistics {
  std::int64_t count = 0;
  double mean = 0;
  double spread = 0;  ///< standard deviation with n - 1; 0 for n = 1
  /// Half the width of the 95 % confidence interval of the mean, by Student's t distribution with
  /// n - 1 degrees of freedom: t spread / sqrt(n). Nothing for n < 2. It takes seeds for draws from
  /// a normal distribution, which runs on both sides of a phase transition are not.
  std::optional<double> half_width{};
};

/// Throws Error(internal) when there is nothing to describe.
SeedStatistics seed_statistics(std::span<const double> values);

/// The 97.5 % quantile of Student's t distribution: 12.71 for 1 degree of freedom, 1.96 for many.
double student_t_975(std::int64_t degrees);

}  // namespace farsight
