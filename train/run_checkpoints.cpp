#include "train/run_checkpoints.h"

#include <utility>

#include "core/atomic_folder.h"
#include "core/files.h"

namespace farsight {

bool note_best(const CheckpointSettings& settings, const ValidationResult& result,
               TrainState& state) {
  const double score = settings.best_by == BestBy::loss ? -result.loss
                       : settings.best_by == BestBy::pair_accuracy
                           ? result.score
                           : static_cast<double>(state.step);
  if (state.best_score && score < *state.best_score) return false;
  state.best_score = score;
  state.best_step = state.step;
  return true;
}

RunCheckpoints::RunCheckpoints(std::filesystem::path run, const Model& model,
                               const AdamW& optimizer, const CheckpointSettings& settings)
    : run_(std::move(run)), writer_(run_, model, optimizer, settings) {}

std::filesystem::path RunCheckpoints::path_of(std::int64_t step) const {
  return run_ / checkpoint_name(step);
}

void RunCheckpoints::resumed(TrainState& state) {
  saved_ = state.step;
  if (state.best_score && std::filesystem::exists(path_of(state.best_step))) {
    write_pointer(run_ / "best", checkpoint_name(state.best_step));
  } else {
    state.best_score.reset();
  }
}

void RunCheckpoints::save(const TrainState& state, bool best) {
  if (saved_ == state.step) return;
  writer_.save(state, best);
  saved_before_ = saved_;
  saved_ = state.step;
}

std::string RunCheckpoints::fall_back(std::int64_t step) {
  try {
    writer_.finish();
  } catch (const Error&) {
    saved_ = saved_before_;  // it is not there
  }
  const std::int64_t good = saved_ == step ? saved_before_ : saved_;
  if (good == 0 || !std::filesystem::exists(path_of(good))) {
    return "No good checkpoint was saved before";
  }
  write_pointer(run_ / "latest", checkpoint_name(good));
  return "The last good checkpoint is " + path_of(good).string();
}

}  // namespace farsight
