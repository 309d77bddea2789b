// The training data of a run as a function of the step, whatever it is: recall examples
// (data/batches.h) or text (data/text_loader.h). There is no state to save: a run that goes on from a
// checkpoint asks for the batches that come next.
#pragma once

#include <cstdint>
#include <functional>

#include "data/batches.h"

namespace farsight {

struct TrainData {
  std::int64_t steps_per_epoch = 0;
  std::int64_t tokens_per_epoch = 0;  ///< of all of it, with what no full batch is left for
  std::int64_t labels_per_epoch = 0;  ///< the same
  double tokens_per_step = 0;         ///< mean
  double mean_context = 0;  ///< tokens that a token can look back at, itself included: mean
  /// The batch of step `step` >= 0 (counted over all epochs), a rank's share of it.
  std::function<GlobalBatch(std::int64_t step, Shard shard)> at;
};

TrainData train_data_of(TrainLoader loader);

}  // namespace farsight
