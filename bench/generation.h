// How fast one core makes the examples of a task.
#pragma once

#include <string>

#include "bench/measurement.h"

namespace farsight::bench {

struct GenerationTimes {
  double tokens_per_s = 0;  ///< of one thread: tokens, rows of labels and targets
  double tokens = 0;        ///< of a batch
  std::size_t runs = 0;
  double others = 0;  ///< processors that other programs used meanwhile
};

/// Batches of the named task at the paper's sizes.
GenerationTimes time_generation(const std::string& task, const Effort& effort);

}  // namespace farsight::bench
