// How times are taken: one run to warm up, then runs until they have taken long enough; the result
// of a line is the median of its runs.
#pragma once

#include <vector>

#include "core/clock.h"

namespace farsight::bench {

struct Effort {
  double seconds = 0.3;  ///< runs of one line go on for at least this long
  int least_runs = 5;
};

/// for (Repetition again(effort); again.wanted();) times.push_back(one run);
class Repetition {
 public:
  explicit Repetition(const Effort& effort);
  bool wanted();

 private:
  Effort effort_;
  double start_;
  int runs_ = 0;
};

/// The middle value; of an even number, the mean of the two in the middle.
double median(std::vector<double> values);

}  // namespace farsight::bench
