#include "train/plan.h"

#include <fmt/format.h>

#include "core/arena.h"
#include "eval/recall.h"
#include "train/quantities.h"
#include "train/step.h"
#include "train/task.h"
#include "train/trainer.h"

namespace farsight {
namespace {

constexpr std::int64_t kTracedSteps = 20;  // batches differ in their mix of lengths and labels

/// How many tokens a token can look back at, itself included: the mean over all tokens.
double mean_context(const Settings& settings) {
  double tokens = 0, pairs = 0;
  for (const Cell& cell : own_task(settings).cells) {
    const double length = static_cast<double>(cell.length);
    tokens += length;
    pairs += length * (length + 1) / 2;
  }
  return pairs / tokens;
}

double labels_per_token(const TrainLoader& loader) {
  return static_cast<double>(loader.labels_per_epoch()) /
         static_cast<double>(loader.tokens_per_epoch());
}

}  // namespace

double training_flops_per_token(const Settings& settings, const Model& model,
                                const TrainLoader& loader) {
  const ForwardFlops& forward = model.flops;
  return 3 * (forward.body + forward.context * mean_context(settings) +
              forward.head * labels_per_token(loader));
}

Plan make_plan(const Settings& settings) {
  Arena& memory = arena(Device::meta);
  const std::int64_t before = memory.in_use_bytes();
  memory.reset_peak();
  const TrainLoader loader = loader_of(settings);
  Plan plan;
  plan.steps = total_steps(settings, loader);
  const double epochs =
      static_cast<double>(plan.steps) / static_cast<double>(loader.steps_per_epoch());
  plan.tokens = epochs * static_cast<double>(loader.tokens_per_epoch());
  plan.labels_per_token = labels_per_token(loader);
  const Model model = model_of(settings, Device::meta);
  const AdamW optimizer(*model.parameters, settings.train);
  plan.parameters = model.parameters->count();
  plan.parameter_bytes = memory.in_use_bytes() - before;
  for (std::int64_t step = 0; step < std::min(plan.steps, kTracedSteps); step++) {
    forward_backward(model, loader.at(step));
  }
  evaluate_recall(model, own_task(settings),
                  {.split = Split::valid,
                   .examples_per_cell = settings.data.valid_examples_per_cell,
                   .micro_tokens = settings.train.micro_tokens});
  plan.peak_bytes = memory.peak_bytes() - before;
  plan.flops_per_token = training_flops_per_token(settings, model, loader);
  return plan;
}

std::string plan_text(const Settings& settings, const Plan& plan) {
  std::string text;
  const auto line = [&](std::string_view name, const std::string& value) {
    text += fmt::format("{:<12} {}\n", name, value);
  };
  line("task", own_task_name(settings));
  line("model", fmt::format("{}, preset {}", settings.run.model, settings.run.preset));
  line("parameters", grouped(plan.parameters));
  line("steps", fmt::format("{} of {} examples", grouped(plan.steps), settings.train.batch_size));
  line("tokens", fmt::format("{} ({:.1f} % of them labelled)", human_count(plan.tokens),
                             100 * plan.labels_per_token));
  line("FLOPs", fmt::format("{} a token, {} in all", human_count(plan.flops_per_token),
                            human_count(plan.flops_per_token * plan.tokens)));
  line("memory", fmt::format("{} at the peak, {} of it parameters, gradients and moments",
                             human_bytes(plan.peak_bytes), human_bytes(plan.parameter_bytes)));
  return text;
}

}  // namespace farsight
