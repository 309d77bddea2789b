// What a run will take, before it takes it: `--dry-run`.
#pragma once

#include <cstdint>
#include <string>

#include "data/train_data.h"
#include "models/model.h"
#include "train/settings.h"

namespace farsight {

struct Plan {
  std::int64_t parameters = 0;
  std::int64_t steps = 0;
  double tokens = 0;  ///< of all steps, expected
  double labels_per_token = 0;
  double flops_per_token = 0;        ///< forward and backward, the head at labelled positions only
  std::int64_t parameter_bytes = 0;  ///< values, gradients, moments
  std::int64_t peak_bytes = 0;       ///< of the arena, everything together
};

/// Memory is not estimated: the first steps and a validation batch run on the meta device, whose
/// arena counts what the real one would.
Plan make_plan(const Settings& settings);

/// Forward and backward, the head at labelled positions only; `model` may be on the meta device.
double training_flops_per_token(const Model& model, const TrainData& data);
/// The same of a recall task's examples.
double training_flops_per_token(const Settings& settings, const Model& model,
                                const TrainLoader& loader);
std::string plan_text(const Settings& settings, const Plan& plan);

}  // namespace farsight
