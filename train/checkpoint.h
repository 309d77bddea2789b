// Checkpoints: folders that appear whole or not at all.
//
//   runs/NAME/step-00001000/
//     config.json             sizes of the model, as Hugging Face writes them
//     model.safetensors       the parameters under their Hugging Face names
//     optimizer.safetensors   m.NAME and v.NAME of every parameter
//     state.json              step, tokens, seconds and the best validation so far
//     manifest.json           size and XXH3-64 of each of the others, and of every tensor
//                             (train/checkpoint_manifest.h)
//   runs/NAME/latest, runs/NAME/best    text files that name one of the folders
//
// The training data needs no state of its own: a batch is a function of the step.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/model.h"
#include "train/checkpoint_manifest.h"
#include "train/optimizer.h"
#include "train/stopping.h"

namespace farsight {

struct TrainState {
  std::int64_t step = 0;  ///< optimiser steps done
  std::int64_t tokens = 0;
  double seconds = 0;
  double loss = 0;  ///< of the last step
  std::int64_t best_step = 0;
  std::optional<double> best_score{};  ///< larger is better, whatever is compared
  std::int64_t skipped = 0;            ///< steps that were not finite (train.on_nan = "skip")
  std::int64_t skipped_in_a_row = 0;   ///< of them, up to this one
  StopState stop{};
};

/// "step-00001000"
std::string checkpoint_name(std::int64_t step);

/// What a checkpoint is written from, in the host's memory: flat, in the layout of the parameters.
struct CheckpointBytes {
  std::span<const std::byte> values, m, v;
};
/// Writes the folder, durably, reads it again, gives it its name and then points `latest` at it.
/// Throws Error(storage); what was there before stays as it was. Of the model only its settings and
/// the names of its parameters are asked.
void write_checkpoint(const std::filesystem::path& run, const Model& model,
                      const CheckpointBytes& bytes, const TrainState& state);
/// The same of the model and the optimiser as they are.
void save_checkpoint(const std::filesystem::path& run, const Model& model, const AdamW& optimizer,
                     const TrainState& state);

/// Removes all checkpoints of the run but the `keep_last` newest up to `latest`, that named by `best`, and
/// those after `latest`: the run went on from an older one, and comes to them again.
void prune_checkpoints(const std::filesystem::path& run, std::int64_t keep_last);

/// The folder that `pointer` ("latest" or "best") of a run names; empty when the run has none.
std::filesystem::path pointed_checkpoint(const std::filesystem::path& run,
                                         const std::string& pointer);

/// The parameters, on the CPU, under their names.
std::vector<NamedTensor> named_parameters(const Model& model);

/// Config of the model in a checkpoint. Throws Error(corrupt, storage).
Json checkpoint_config(const std::filesystem::path& checkpoint);

/// Throws what load_parameters does for names and shapes, from the file's header alone: with a model
/// on the meta device, no config.json costs memory that its weights do not fill.
void compare_parameters(const std::filesystem::path& checkpoint, const Model& model);

/// Loads the parameters into `model`: names and shapes must match both ways, or one Error(data) lists
/// everything that is missing, extra or of another shape. Files are checked against the manifest.
void load_parameters(const std::filesystem::path& checkpoint, const Model& model);

/// The same and the optimiser's state; returns the rest.
TrainState load_checkpoint(const std::filesystem::path& checkpoint, const Model& model,
                           AdamW& optimizer);

/// XXH3-64 over all parameters in order: two runs agree bit by bit if this does.
std::string parameter_hash(const Model& model);

}  // namespace farsight
