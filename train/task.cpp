#include "train/task.h"

#include <algorithm>

#include "core/check.h"
#include "train/presets.h"

namespace farsight {

namespace {

std::vector<int> as_ints(const Integers& list) {
  std::vector<int> result;
  for (const std::int64_t entry : list)
    result.push_back(static_cast<int>(entry));
  return result;
}

void check_gate(const ModelSettings& model, std::string_view family) {
  const bool gated = model.gate_kernel > 0 || !has_taps(model.gate);
  require(family == "mamba" || !gated, ExitCode::usage,
          "model.{} is a setting of Mamba, and this model is {}",
          model.gate_kernel > 0 ? "gate_kernel" : "gate", family);
  require(gated || model.gate == GateKind::longconv, ExitCode::usage,
          "model.gate = {} needs model.gate_kernel; use --model mamba-gs, or set it too",
          name_of(model.gate));
  std::int64_t before = -1;
  for (const std::int64_t layer : model.gate_layers) {
    require(layer < model.n_layer, ExitCode::usage,
            "model.gate_layers: there is no block {}, the model has blocks 0 to {}", layer,
            model.n_layer - 1);
    require(layer > before, ExitCode::usage,
            "model.gate_layers must be in ascending order, got {} after {}", layer, before);
    before = layer;
  }
  require(model.gate_layers.empty() || gated, ExitCode::usage,
          "model.gate_layers names blocks, but model.gate_kernel = 0 means that there is no gate; "
          "use --model mamba-gs, or set model.gate_kernel too");
}

}  // namespace

MqarTask task_of(const Settings& settings, std::string_view task) {
  const DataSettings& data = settings.data;
  const auto placement = std::find_if(kPlacements.begin(), kPlacements.end(),
                                      [&](Placement p) { return placement_name(p) == task; });
  check(placement != kPlacements.end(), "task_of: no position task is called '{}'", task);
  MqarTask result = make_position_task(*placement, static_cast<int>(data.vocabulary),
                                       position_grid(as_ints(data.lengths), as_ints(data.pairs)));
  if (data.filler == FillWith::zero) result.filler = {kEmpty, kEmpty};
  return result;
}

void check_consistency(const Settings& settings) {
  require(settings.train.steps > 0 || settings.train.epochs > 0, ExitCode::usage,
          "train.steps and train.epochs are both 0: one of them must say how long to train");
  const int ids = task_of(settings, settings.run.task).model_vocabulary();
  require(settings.model.vocab_size >= ids, ExitCode::data,
          "model.vocab_size must be at least {}, because a task with data.vocabulary = {} uses ids "
          "0 to {}; got {}",
          ids, settings.data.vocabulary, ids - 1, settings.model.vocab_size);
  check_gate(settings.model, family_of(settings.run.model));
}

}  // namespace farsight
