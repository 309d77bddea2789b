#include "train/repro/estimate.h"

#include <algorithm>

#include "core/clock.h"
#include "core/parallel.h"
#include "train/from_settings.h"
#include "train/optimizer.h"
#include "train/plan.h"
#include "train/repro/outcome.h"
#include "train/step.h"

namespace farsight {
namespace {

constexpr double kEnoughSeconds = 0.3;   // of measured steps
constexpr double kMostFlops = 3e10;      // of a measured step on a CPU: about a second
constexpr std::int64_t kMostLayers = 2;  // where a step must be reduced
constexpr std::int64_t kMostSteps = 20;

double flops_per_token(const Settings& settings) {
  return training_flops_per_token(settings, model_of(settings, Device::meta), loader_of(settings));
}

double tokens_per_step(const Settings& settings, const TrainLoader& loader) {
  return static_cast<double>(loader.tokens_per_epoch()) /
         static_cast<double>(loader.examples_per_epoch()) *
         static_cast<double>(settings.train.batch_size);
}

/// Settings of a step that takes about a second at most.
Settings measurable(Settings settings, Device device) {
  if (settings.model.n_layer > kMostLayers && settings.model.gate_layers.empty()) {
    settings.model.n_layer = kMostLayers;
  }
  settings.train.steps = kMostSteps;
  settings.train.graphs = GraphUse::off;
  const double flops = flops_per_token(settings) * tokens_per_step(settings, loader_of(settings));
  if (device == Device::cpu && flops > kMostFlops) {
    const double share = kMostFlops / flops;
    const auto fewer =
        static_cast<std::int64_t>(share * static_cast<double>(settings.train.batch_size));
    settings.train.batch_size = std::max<std::int64_t>(1, fewer);
  }
  return settings;
}

/// FLOPs a second of training steps, the first one not counted: it allocates.
double measured_flops(const Settings& whole, Device device) {
  const Settings settings = measurable(whole, device);
  const TrainLoader loader = loader_of(settings);
  const Model model = model_of(settings, device);
  AdamW optimizer(*model.parameters, settings.train);
  TrainStep step(model, optimizer, settings.train.graphs);
  double tokens = 0, began = 0, seconds = 0;
  for (std::int64_t i = 0; i < kMostSteps && seconds < kEnoughSeconds; i++) {
    const GlobalBatch batch = loader.at(i);
    step.launch(batch, 0);
    step.finish();
    if (i == 0) {
      began = seconds_now();
      continue;
    }
    tokens += static_cast<double>(batch.tokens);
    seconds = seconds_now() - began;
  }
  return tokens * training_flops_per_token(settings, model, loader) / seconds;
}

/// Sets the number of threads while it lives.
class WithThreads {
 public:
  explicit WithThreads(int count) : before_(threads()) { set_threads(count); }
  ~WithThreads() { set_threads(before_); }
  WithThreads(const WithThreads&) = delete;
  WithThreads& operator=(const WithThreads&) = delete;

 private:
  int before_;
};

}  // namespace

std::vector<RunCost> estimate_costs(const std::vector<PlannedRun>& runs,
                                    const std::filesystem::path& out, Device device,
                                    int threads_of_a_run) {
  std::map<std::string, double> tokens_per_second, flops_per_second;
  for (const PlannedRun& run : runs) {
    const RunOutcome outcome = read_outcome(run, paths_of(out, run));
    if (outcome.tokens_per_second > 0) {
      tokens_per_second[run.training.model] = outcome.tokens_per_second;
    }
  }
  const WithThreads with(threads_of_a_run);
  std::vector<RunCost> costs;
  for (const PlannedRun& run : runs) {
    const TrainLoader loader = loader_of(run.settings);
    RunCost cost;
    cost.tokens = static_cast<double>(total_steps(run.settings, loader)) *
                  tokens_per_step(run.settings, loader);
    const std::string& model = run.training.model;
    if (const auto known = tokens_per_second.find(model); known != tokens_per_second.end()) {
      cost.seconds = cost.tokens / known->second;
    } else {
      if (!flops_per_second.contains(model)) {
        flops_per_second[model] = measured_flops(run.settings, device);
      }
      cost.seconds = cost.tokens * flops_per_token(run.settings) / flops_per_second[model];
    }
    costs.push_back(cost);
  }
  return costs;
}

}  // namespace farsight
