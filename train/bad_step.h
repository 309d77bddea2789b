// A step whose loss or gradient is not finite: where the first such value comes from, and the step
// itself in a folder, to be looked at closer.
#pragma once

#include <string>
#include <vector>

#include "train/operations/step_bundle.h"
#include "train/trainer.h"

namespace farsight {

/// Two parts of a sentence.
struct BadStep {
  std::string place;  ///< "the first value that is not finite comes from rank 1: layer 3, linear"
  std::string saved;  ///< which command looks closer, with a space before it; or empty
};

/// The model holds the parameters of before the step. `batches`: this rank's shards of it, one of which
/// may show it. Several ranks call it together.
BadStep explain_bad_step(const TrainingContext& context, const std::vector<GlobalBatch>& batches,
                         StepOutcome outcome);

}  // namespace farsight
