// What a run is made of, as its settings describe it.
#pragma once

#include "data/batches.h"
#include "models/model.h"
#include "train/settings.h"

namespace farsight {

/// The model that settings describe, with its first parameters.
Model model_of(const Settings& settings, Device device);
/// `run.device`, resolved: auto takes a GPU when this build and this machine have one. Throws
/// Error(device) when cuda is asked for and is not there.
Device device_of(const Settings& settings);
/// The examples of a recall task. Throws Error(usage) for lm, which has none (train/training_task.h).
TrainLoader loader_of(const Settings& settings);
/// total_steps (train/training_task.h) of these.
std::int64_t total_steps(const Settings& settings, const TrainLoader& loader);

}  // namespace farsight
