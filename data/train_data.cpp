#include "data/train_data.h"

#include <memory>
#include <utility>

namespace farsight {
namespace {

double mean_context(const MqarTask& task) {
  double tokens = 0, pairs = 0;
  for (const Cell& cell : task.cells) {
    const double length = static_cast<double>(cell.length);
    tokens += length;
    pairs += length * (length + 1) / 2;
  }
  return pairs / tokens;
}

}  // namespace

TrainData train_data_of(TrainLoader loader) {
  const auto shared = std::make_shared<const TrainLoader>(std::move(loader));
  const double share =
      static_cast<double>(shared->batch_size()) / static_cast<double>(shared->examples_per_epoch());
  return {.steps_per_epoch = shared->steps_per_epoch(),
          .tokens_per_epoch = shared->tokens_per_epoch(),
          .labels_per_epoch = shared->labels_per_epoch(),
          .tokens_per_step = static_cast<double>(shared->tokens_per_epoch()) * share,
          .mean_context = mean_context(shared->task()),
          .at = [shared](std::int64_t step, Shard shard) { return shared->at(step, shard); }};
}

}  // namespace farsight
