#include "bench/training.h"

#include "bench/machine.h"
#include "train/from_settings.h"
#include "train/resolve.h"
#include "train/trainer.h"

namespace farsight::bench {
namespace {

/// Over all tokens of a batch, how many of its sequence each looks back at, itself included.
double looked_at(const Batch& batch) {
  if (!batch.packed()) {
    const double length = batch.length;
    return batch.rows * length * (length + 1) / 2;
  }
  double sum = 0;
  for (const std::int32_t position : batch.positions) {
    sum += position + 1;
  }
  return sum;
}

}  // namespace

TrainingRun::TrainingRun(const Settings& settings, Device device)
    : settings_(settings),
      model_(model_of(settings, device)),
      loader_(loader_of(settings)),
      total_(total_steps(settings, loader_)),
      optimizer_(*model_.parameters, settings.train),
      step_(model_, optimizer_, settings.train.graphs),
      most_under_way_(device == Device::cuda ? 2 : 1),
      flops_(model_.flops) {}

void TrainingRun::step(const GlobalBatch& batch) {
  if (step_.under_way() == most_under_way_) step_.finish();
  step_.launch(batch, learning_rate(settings_.train, next_, total_));
  next_++;
}

double TrainingRun::flops_of(const GlobalBatch& batch) const {
  double context = 0;
  for (const Batch& micro : batch.micro_batches) {
    context += flops_.context * looked_at(micro);
  }
  return 3 * (flops_.body * static_cast<double>(batch.tokens) + context +
              flops_.head * static_cast<double>(batch.labels));
}

TrainingTimes time_training(const std::string& model, const std::string& preset,
                            const Effort& effort) {
  const Settings settings = resolve({}, {{&setting_named("run.model"), model, "bench"},
                                         {&setting_named("run.preset"), preset, "bench"}})
                                .settings;
  TrainingRun training(settings, Device::cpu);
  std::int64_t next = 0;
  training.step(training.batch_at(next++));
  const OtherPrograms others;
  std::vector<double> ms, tokens, token_rates, flop_rates;
  for (Repetition again(effort); again.wanted();) {
    const double start = seconds_now();
    const GlobalBatch batch = training.batch_at(next++);
    training.step(batch);
    const double seconds = seconds_now() - start;
    const double fed = static_cast<double>(batch.tokens);
    ms.push_back(1e3 * seconds);
    tokens.push_back(fed);
    token_rates.push_back(fed / seconds);
    flop_rates.push_back(training.flops_of(batch) / seconds / 1e9);
  }
  return {.step_ms = median(ms),
          .tokens_per_s = median(token_rates),
          .gflop_per_s = median(flop_rates),
          .batch_size = settings.train.batch_size,
          .tokens = median(tokens),
          .runs = ms.size(),
          .others = others.processors()};
}

}  // namespace farsight::bench
