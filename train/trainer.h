// The training loop: steps, validation, checkpoints, and what becomes of interruptions.
#pragma once

#include <filesystem>
#include <functional>

#include "train/checkpoint.h"
#include "train/interrupts.h"
#include "train/progress.h"
#include "train/ranks/rank_job.h"
#include "train/run_record.h"
#include "train/training_task.h"

namespace farsight {

/// What the loop needs from outside.
struct TrainingContext {
  const Settings& settings;
  const Model& model;
  RunRecord& record;
  Display display;
  const TrainingTask& task;  ///< of these settings
  RankJob* ranks = nullptr;  ///< the others; null: alone
};

/// Trains to the end, from the checkpoint `resume` if it is not empty. Afterwards the model holds the
/// checkpoint that checkpoint.best_by chooses.
/// Throws Error(interrupted) after Ctrl-C or SIGTERM, a checkpoint written; Error(diverged) when the
/// loss or a gradient is not finite, naming step and operation, the last good checkpoint kept;
/// Error(peer) when another rank is lost. With several ranks all take the same steps and the first one
/// alone writes; on the others the model holds the last parameters.
TrainState train(const TrainingContext& context, const std::filesystem::path& resume);

}  // namespace farsight
