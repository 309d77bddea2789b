#include "train/plan.h"

#include <fmt/format.h>

#include "core/arena.h"
#include "train/from_settings.h"
#include "train/quantities.h"
#include "train/step.h"
#include "train/task.h"
#include "train/training_task.h"

namespace farsight {
namespace {

constexpr std::int64_t kTracedSteps = 20;

double labels_per_token(const TrainData& data) {
  return static_cast<double>(data.labels_per_epoch) / static_cast<double>(data.tokens_per_epoch);
}

}  // namespace

double training_flops_per_token(const Model& model, const TrainData& data) {
  const ForwardFlops& forward = model.flops;
  return 3 * (forward.body + forward.context * data.mean_context +
              forward.head * labels_per_token(data));
}

double training_flops_per_token(const Settings&, const Model& model, const TrainLoader& loader) {
  return training_flops_per_token(model, train_data_of(loader));
}

Plan make_plan(const Settings& settings) {
  Arena& memory = arena(Device::meta);
  const std::int64_t before = memory.in_use_bytes();
  memory.reset_peak();
  const TrainingTask task = planned_task_of(settings);
  const TrainData& data = task.data;
  Plan plan;
  plan.steps = total_steps(settings, data);
  plan.tokens = static_cast<double>(plan.steps) * data.tokens_per_step;
  plan.labels_per_token = labels_per_token(data);
  const Model model = model_of(settings, Device::meta);
  const AdamW optimizer(*model.parameters, settings.train);
  plan.parameters = model.parameters->count();
  plan.parameter_bytes = memory.in_use_bytes() - before;
  // Batches of recall examples differ in their mix of lengths and labels, those of text do not.
  const std::int64_t traced = is_language_model(settings) ? 1 : kTracedSteps;
  for (std::int64_t step = 0; step < std::min(plan.steps, traced); step++) {
    forward_backward(model, data.at(step, {}));
  }
  task.validate(model);
  plan.peak_bytes = memory.peak_bytes() - before;
  plan.flops_per_token = training_flops_per_token(model, data);
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
  line("steps", fmt::format("{} of {}", grouped(plan.steps), step_text(settings)));
  line("tokens", fmt::format("{} ({:.1f} % of them labelled)", human_count(plan.tokens),
                             100 * plan.labels_per_token));
  line("FLOPs", fmt::format("{} a token, {} in all", human_count(plan.flops_per_token),
                            human_count(plan.flops_per_token * plan.tokens)));
  line("memory", fmt::format("{} at the peak, {} of it parameters, gradients and moments",
                             human_bytes(plan.peak_bytes), human_bytes(plan.parameter_bytes)));
  return text;
}

}  // namespace farsight
