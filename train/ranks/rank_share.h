// A rank's share of every step, and what it agrees on with the others. A process that is alone has
// all of it, and agrees with itself.
#pragma once

#include <vector>

#include "core/check.h"
#include "data/train_data.h"
#include "train/checkpoint.h"
#include "train/ranks/rank_job.h"
#include "train/settings.h"

namespace farsight {

class RankShare {
 public:
  /// `job`: null for a process that is alone.
  RankShare(RankJob* job, const TrainSettings& settings);

  /// Whether this process writes the run's folder.
  bool writes() const { return job_ == nullptr || job_->first(); }
  /// Logical shards of a batch that this rank computes (train.reproducible); else 1.
  int shards() const { return shards_; }
  /// Its share of a step, a batch for each of its shards.
  std::vector<GlobalBatch> batches(const TrainData& data, std::int64_t step) const;

  // Several ranks do the same at the same step: they end when all have heard, with the sums of a step,
  // that one was asked to.

  /// What this rank says with a step: 0 unless it was asked to end.
  static double vote();
  /// `votes`: the sum of all ranks'.
  bool asked_to_end(double votes) const;
  /// Of all, after they were: that of Ctrl-C outweighs a scheduler's.
  ExitCode exit_code(double votes) const;

  /// Which checkpoint is the best is what the first rank says.
  void agree_on_best(TrainState& state) const;

 private:
  RankJob* job_;
  int shards_;
};

}  // namespace farsight
