// The training step on the GPU: Mamba-130M and its variants in bf16, at the batches that the peers
// were measured with.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/batches.h"
#include "train/settings.h"

namespace farsight::bench {

struct TrainingSetting {
  const char* name = "";  ///< "mqar256"
  std::int64_t rows = 0, length = 0;
  bool text = false;  ///< random tokens, each labelled with the next, instead of the recall task
};

struct GpuTrainingLine {
  std::string model;
  TrainingSetting setting;
  std::int64_t vocabulary = 0;
  bool all_rows = false;  ///< every position is labelled; else those that the task asks about

  std::string name() const;  ///< "training step, mamba, mqar256, V=50280, all rows"
};

std::vector<GpuTrainingLine> gpu_training_lines();

/// Of preset full, with at most `micro_tokens` tokens at once.
Settings settings_of(const GpuTrainingLine& line, std::int64_t micro_tokens);
/// The batch as the line wants it: its labels, or its tokens, replaced where they are not the task's.
GlobalBatch batch_of(const GpuTrainingLine& line, std::int64_t micro_tokens, GlobalBatch of_task);

struct GpuTrainingTimes {
  double step_ms = 0;   ///< on the device's clock, from one step's end to the next one's: a median
  double wall_ms = 0;   ///< by the host's clock, of all steps together, over their number
  double batch_ms = 0;  ///< what a batch takes to make on the CPU, beforehand: not in the two above
  double tokens_per_s = 0;
  double tflop_per_s = 0;  ///< needed ones
  std::int64_t tokens = 0, labels = 0, micro_tokens = 0;
  std::int64_t peak_bytes = 0;  ///< of the arena: parameters, moments, activations
  int runs = 0;
};

/// In one micro-batch if it fits into the device's memory, else in twice as many until it does.
/// Throws Error(memory) if none does.
GpuTrainingTimes time_training_on_gpu(const GpuTrainingLine& line, int runs);

}  // namespace farsight::bench
