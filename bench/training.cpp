#include "bench/training.h"

#include "bench/machine.h"
#include "models/mamba.h"
#include "train/optimizer.h"
#include "train/resolve.h"
#include "train/step.h"
#include "train/trainer.h"

namespace farsight::bench {

TrainingTimes time_training(const std::string& model_name, const std::string& preset,
                            const Effort& effort) {
  const Settings settings = resolve({}, {{&setting_named("run.model"), model_name, "bench"},
                                         {&setting_named("run.preset"), preset, "bench"}})
                                .settings;
  const Model model = model_of(settings, Device::cpu);
  const TrainLoader loader = loader_of(settings);
  const std::int64_t total = total_steps(settings, loader);
  AdamW optimizer(*model.parameters, settings.train);
  std::int64_t next = 0;
  const auto step = [&]() {
    const GlobalBatch batch = loader.at(next);
    forward_backward(model, batch);
    optimizer.step(learning_rate(settings.train, next, total), optimizer.gradient_norm());
    next++;
    return batch;
  };
  step();
  const ForwardFlops flops = mamba_flops(MambaConfig::from_json(model.config));
  const OtherPrograms others;
  std::vector<double> ms, tokens, token_rates, flop_rates;
  for (Repetition again(effort); again.wanted();) {
    const double start = seconds_now();
    const GlobalBatch batch = step();
    const double seconds = seconds_now() - start;
    const double fed = static_cast<double>(batch.tokens);
    const double needed = 3 * (flops.body * fed + flops.head * static_cast<double>(batch.labels));
    ms.push_back(1e3 * seconds);
    tokens.push_back(fed);
    token_rates.push_back(fed / seconds);
    flop_rates.push_back(needed / seconds / 1e9);
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
