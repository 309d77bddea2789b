#include "train/run_checkpoints.h"

#include <utility>

#include "core/atomic_folder.h"
#include "core/files.h"

namespace farsight {

RunCheckpoints::RunCheckpoints(std::filesystem::path run, const CheckpointSettings& settings)
    : run_(std::move(run)), settings_(settings) {}

std::filesystem::path RunCheckpoints::path_of(std::int64_t step) const {
  return run_ / checkpoint_name(step);
}

void RunCheckpoints::resumed(TrainState& state) {
  saved_ = state.step;
  if (state.best_score && std::filesystem::exists(path_of(state.best_step))) {
    point_at_best(state.best_step);
  } else {
    state.best_score.reset();
  }
}

void RunCheckpoints::save(const Model& model, const AdamW& optimizer, const TrainState& state) {
  if (saved_ == state.step) return;
  save_checkpoint(run_, model, optimizer, state);
  saved_before_ = saved_;
  saved_ = state.step;
  prune_checkpoints(run_, settings_.keep_last);
}

void RunCheckpoints::point_at_best(std::int64_t step) const {
  write_pointer(run_ / "best", checkpoint_name(step));
}

std::string RunCheckpoints::fall_back(std::int64_t step) const {
  const std::int64_t good = saved_ == step ? saved_before_ : saved_;
  if (good == 0 || !std::filesystem::exists(path_of(good))) {
    return "No good checkpoint was saved before";
  }
  write_pointer(run_ / "latest", checkpoint_name(good));
  return "The last good checkpoint is " + path_of(good).string();
}

}  // namespace farsight
