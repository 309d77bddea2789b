#include "bench/generation.h"

#include <algorithm>

#include "bench/machine.h"
#include "core/parallel.h"
#include "data/batches.h"

namespace farsight::bench {
namespace {

/// Longer examples would be few in a batch, and cells of Figure 1 have up to 63,000 tokens.
TrainLoader loader_of_task(const std::string& name) {
  const MqarTask task = make_named_task(name);
  const auto examples = static_cast<std::int64_t>(task.cells.size()) * 20;
  return {task, {.examples_per_cell = 1000, .batch_size = examples, .micro_tokens = 65'536}};
}

}  // namespace

GenerationTimes time_generation(const std::string& task, const Effort& effort) {
  const TrainLoader loader = loader_of_task(task);
  const int threads_before = threads();
  set_threads(1);
  loader.at(0);
  const OtherPrograms others;
  std::vector<double> rates, tokens;
  std::int64_t step = 0;
  for (Repetition again(effort); again.wanted();) {
    const double start = seconds_now();
    const GlobalBatch batch = loader.at(step++ % loader.steps_per_epoch());
    const double seconds = seconds_now() - start;
    tokens.push_back(static_cast<double>(batch.tokens));
    rates.push_back(static_cast<double>(batch.tokens) / seconds);
  }
  const double busy = others.processors();
  set_threads(threads_before);
  return {.tokens_per_s = median(rates),
          .tokens = median(tokens),
          .runs = rates.size(),
          .others = busy};
}

}  // namespace farsight::bench
