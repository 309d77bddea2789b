// How long the runs of a plan will take on this device: measured, not guessed.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "train/repro/plan.h"

namespace farsight {

struct RunCost {
  double tokens = 0;   ///< of all its steps; early stops make it less
  double seconds = 0;  ///< by itself, on as many threads as the runs will have
};

/// For each run. A model's speed is that of a run of it in `out` that is finished, or else measured
/// here: a few steps of the model, reduced to two layers and few examples where a step would take
/// long, and scaled by its FLOPs.
std::vector<RunCost> estimate_costs(const std::vector<PlannedRun>& runs,
                                    const std::filesystem::path& out, Device device, int threads);

}  // namespace farsight
