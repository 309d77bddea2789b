// The checkpoints of a run while it trains: which there are, which is the best, and which is known to
// be good.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "train/checkpoint.h"
#include "train/operations/checkpoint_writer.h"
#include "train/settings.h"
#include "train/training_task.h"

namespace farsight {

/// Whether the parameters after `state.step` steps, of which a validation says `result`, are the best so
/// far by checkpoint.best_by; `state` then says so. Of equals the later: it has seen more.
bool note_best(const CheckpointSettings& settings, const ValidationResult& result,
               TrainState& state);

class RunCheckpoints {
 public:
  RunCheckpoints(std::filesystem::path run, const Model& model, const AdamW& optimizer,
                 const CheckpointSettings& settings);

  /// `state` as load_checkpoint gave it. A process killed between a checkpoint and its pointer left
  /// `best` behind, and one that goes on from an older checkpoint finds it ahead, or gone: then
  /// there is no best any more.
  void resumed(TrainState& state);

  /// Where the checkpoint of this step is, or would be.
  std::filesystem::path path_of(std::int64_t step) const;
  /// Writes one, unless that of this step was the last one written, and removes the oldest: at once or
  /// while training goes on (train/operations/checkpoint_writer.h). `best`: it is the best so far.
  void save(const TrainState& state, bool best = false);
  /// Of what is being written: throws what went wrong, if it has; waits for it; keeps the
  /// parameters as they are until it has its copy.
  void look() { writer_.look(); }
  void hold_while_writing(std::function<std::shared_ptr<void>()> hold) {
    writer_.hold_while_writing(std::move(hold));
  }
  void finish() { writer_.finish(); }
  void before_update() { writer_.before_update(); }

  /// For a run that diverged at `step`: points `latest` at the newest checkpoint whose parameters are
  /// known to give a loss that is finite, and says which it is.
  std::string fall_back(std::int64_t step);

 private:
  std::filesystem::path run_;
  CheckpointWriter writer_;
  std::int64_t saved_ = 0, saved_before_ = 0;  // steps; 0: none
};

}  // namespace farsight
