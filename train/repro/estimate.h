// How long the runs of a plan will take on this device: measured, not guessed.
#pragma once

#include <filesystem>
#include <vector>

#include "train/repro/machine.h"
#include "train/repro/plan.h"

namespace farsight {

struct RunCost {
  double tokens = 0;   ///< of all its steps; early stops make it less
  double seconds = 0;  ///< by itself, on as many threads as the runs will have
};

/// For each run. A model's speed is that of a run of it in `out` that is finished, or else measured
/// now: on a CPU a few steps, reduced to two layers and few examples where a step would take long,
/// and scaled by its FLOPs; on GPUs the first steps of a run that is thrown away.
std::vector<RunCost> estimate_costs(const std::vector<PlannedRun>& runs,
                                    const std::filesystem::path& out, const Machine& machine);

}  // namespace farsight
