// The verb `train`: a run from its settings to its result, alone or with other ranks.
#pragma once

#include "train/command_line.h"

namespace farsight {

/// Trains, tests and writes the run's folder, or prints the plan (--dry-run). Throws what train() does
/// (train/trainer.h), and Error(interrupted or resumable) for a signal that came after the last step.
void run_train(const Command& command);

}  // namespace farsight
