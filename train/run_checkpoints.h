// The checkpoints of a run while it trains: which there are, which is the best, and which is known to
// be good.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "train/checkpoint.h"
#include "train/settings.h"

namespace farsight {

class RunCheckpoints {
 public:
  RunCheckpoints(std::filesystem::path run, const CheckpointSettings& settings);

  /// `state` as load_checkpoint gave it. A process killed between a checkpoint and its pointer left
  /// `best` behind, and one that goes on from an older checkpoint finds it ahead, or gone: then
  /// there is no best any more.
  void resumed(TrainState& state);

  /// Where the checkpoint of this step is, or would be.
  std::filesystem::path path_of(std::int64_t step) const;
  /// Writes one, unless that of this step was the last one written, and removes the oldest.
  void save(const Model& model, const AdamW& optimizer, const TrainState& state);
  /// The checkpoint of this step, which was saved, is the best.
  void point_at_best(std::int64_t step) const;

  /// For a run that diverged at `step`: points `latest` at the newest checkpoint whose parameters are
  /// known to give a loss that is finite, and says which it is.
  std::string fall_back(std::int64_t step) const;

 private:
  std::filesystem::path run_;
  CheckpointSettings settings_;
  std::int64_t saved_ = 0, saved_before_ = 0;  // steps; 0: none
};

}  // namespace farsight
