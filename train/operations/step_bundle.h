// A training step in a folder, to be run again elsewhere: what a run leaves of a step whose loss or
// gradient was not finite. `farsight replay FOLDER` looks at it (train/operations/replay.h).
//
//   RUN/bad-step-00000012/
//     step.json            which step, what it gave, where the first number was not finite
//     settings.toml        those of the run
//     config.json          sizes of the model
//     model.safetensors    the parameters before the step
//     batch.safetensors    for each micro-batch its tokens, label rows, targets, positions and numbers
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/batches.h"
#include "models/model.h"
#include "train/settings.h"

namespace farsight {

struct StepOutcome {
  std::int64_t step = 0;  ///< from 1, as in metrics.jsonl
  double loss = 0, gradient_norm = 0;
  std::string place{};  ///< of the first value that is not finite; empty: no operation made one
  Shard shard{};
};

/// At most this many are kept of a run: they are as large as its weights.
inline constexpr int kMostBundles = 3;

/// Writes the folder and returns it; an empty path when kMostBundles are there already. Throws
/// Error(storage).
std::filesystem::path save_step_bundle(const std::filesystem::path& run, const Settings& settings,
                                       const Model& model, const GlobalBatch& batch,
                                       const StepOutcome& outcome);

struct StepBundle {
  std::filesystem::path folder;
  StepOutcome outcome;
  DType dtype = DType::f32;  ///< that the run computed in
  std::string version, device;
  GlobalBatch batch;  ///< micro-batches, whatever made them
};

/// Throws Error(data) for a folder that is none, Error(corrupt) where an index leads out of the batch
/// or the model's vocabulary.
StepBundle read_step_bundle(const std::filesystem::path& folder, std::int64_t vocab_size);

/// The model of a bundle with its parameters, in any type.
Model bundled_model(const std::filesystem::path& folder, Device device, DType compute);

}  // namespace farsight
