// Time of a whole training step: batch, forward, backward, clip, AdamW, as train/trainer.cpp does
// them.
#pragma once

#include <cstdint>
#include <string>

#include "bench/measurement.h"
#include "data/batches.h"
#include "models/model.h"
#include "train/optimizer.h"
#include "train/settings.h"
#include "train/step.h"

namespace farsight::bench {

/// A model under training: the one place where the benchmark calls what train/trainer.cpp calls.
class TrainingRun {
 public:
  TrainingRun(const Settings& settings, Device device);
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  GlobalBatch batch_at(std::int64_t step) const { return loader_.at(step); }
  /// The next step, whatever the batch. A GPU may still be computing it afterwards, and nothing else.
  void step(const GlobalBatch& batch);
  /// Floating-point operations that a step needs: forward, and twice that backward; attention as far
  /// as a token sees. The batch must be made, not only planned.
  double flops_of(const GlobalBatch& batch) const;

 private:
  Settings settings_;
  Model model_;
  TrainLoader loader_;
  std::int64_t total_, next_ = 0;
  AdamW optimizer_;
  TrainStep step_;
  int most_under_way_;
  ForwardFlops flops_;
};

struct TrainingTimes {
  double step_ms = 0;
  double tokens_per_s = 0;      ///< tokens of a step over its time
  double gflop_per_s = 0;       ///< needed ones: forward and backward, head at labelled positions
  std::int64_t batch_size = 0;  ///< examples of a step
  double tokens = 0;            ///< of a step; batches differ in their mix of lengths
  std::size_t runs = 0;
  double others = 0;  ///< processors that other programs used meanwhile
};

/// The first steps of `model` under `preset` on the CPU, in f32, all medians. The lengths in a batch
/// vary from step to step, and so does the time.
TrainingTimes time_training(const std::string& model, const std::string& preset,
                            const Effort& effort);

}  // namespace farsight::bench
