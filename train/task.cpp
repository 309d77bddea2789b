#include "train/task.h"

#include <algorithm>

#include "core/check.h"
#include "train/nearest.h"
#include "train/resolve.h"

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

TaskSizes sizes_of(const DataSettings& data) {
  return {.vocabulary = static_cast<int>(data.vocabulary),
          .lengths = as_ints(data.lengths),
          .pairs = as_ints(data.pairs),
          .zero_filler = data.filler == FillWith::zero,
          .separator_target = data.separator_target};
}

/// The settings with another task's description: `task` must be named.
Settings described(Settings settings, std::string_view task) {
  settings.run.task = task;
  for (const Assignment& assignment : task_assignments(task, settings.run.preset)) {
    const bool describes = assignment.setting->section() == "task";
    if (describes) assignment.setting->set(settings, assignment.value);
  }
  return settings;
}

/// The settings with the task, and its sizes, that a file declares.
Settings declared(const Settings& settings, std::string_view file) {
  const Assignments assignments =
      with_task_file({{&setting_named("run.task"), std::string(file), "--task"}});
  const auto base = std::find_if(assignments.begin(), assignments.end(),
                                 [](const Assignment& a) { return a.setting->name == "run.task"; });
  Settings result = described(settings, std::get<std::string>(base->value));
  for (const Assignment& assignment : assignments) {
    assignment.setting->set(result, assignment.value);
  }
  return result;
}

/// What asks for pairs makes no sense of text.
void check_language(const Settings& settings) {
  require(settings.task == TaskDescription(), ExitCode::usage,
          "the settings of [task] describe recall tasks, and task lm is text: leave them out");
  require(settings.checkpoint.best_by != BestBy::pair_accuracy, ExitCode::usage,
          "checkpoint.best_by: text has no pairs; use loss or last with task lm");
  require(settings.stop.accuracy == 0, ExitCode::usage,
          "stop.accuracy: text has no pairs; stop.plateau ends a run whose loss no longer falls");
}

/// It names folders and columns.
void check_name(const TaskDescription& task) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  };
  require(
      task.name.size() <= 60 && std::all_of(task.name.begin(), task.name.end(), allowed),
      ExitCode::usage,
      "task.name must be at most 60 letters, digits, '-' and '_', because folders are called by "
      "it, got '{}'",
      task.name.substr(0, 80));
  require(
      find_task(task.name) == nullptr, ExitCode::usage,
      "task.name: '{}' is a named task; --task {} trains on it, a variant needs a name of its own",
      task.name, task.name);
}

}  // namespace

bool is_language_model(const Settings& settings) {
  return settings.run.task == kLanguageTask;
}

std::string own_task_name(const Settings& settings) {
  if (is_language_model(settings)) return std::string(kLanguageTask);
  if (!settings.task.name.empty()) return settings.task.name;
  const bool changed = settings.task != described(settings, settings.run.task).task;
  return settings.run.task + (changed ? "-variant" : "");
}

MqarTask own_task(const Settings& settings) {
  require(!is_language_model(settings), ExitCode::usage,
          "task lm is text, and this needs a recall task (--list tasks)");
  return make_task(own_task_name(settings), settings.task, sizes_of(settings.data));
}

MqarTask task_of(const Settings& settings, std::string_view task) {
  const std::string own = own_task_name(settings);
  if (task == own) return own_task(settings);
  if (is_task_file(task)) return own_task(declared(settings, task));
  require(task != kLanguageTask, ExitCode::usage,
          "task lm is text, and this needs a recall task (--list tasks)");
  std::vector<std::string_view> names = {own};
  for (const NamedTask& named : named_tasks())
    names.push_back(named.name);
  require(find_task(task) != nullptr, ExitCode::usage, "there is no task '{}'{}", task,
          did_you_mean(task, names));
  return make_task(task, described(settings, task).task, sizes_of(settings.data));
}

std::vector<std::string> test_tasks_of(const Settings& settings) {
  if (is_language_model(settings)) return {};
  const std::string own = own_task_name(settings);
  std::vector<std::string> tasks = test_tasks(settings.run.task);
  if (own != settings.run.task) tasks.insert(tasks.begin(), own);
  return tasks;
}

void check_consistency(const Settings& settings) {
  const TrainSettings& train = settings.train;
  require(train.steps > 0 || train.tokens > 0 || train.epochs > 0, ExitCode::usage,
          "train.steps, train.tokens and train.epochs are all 0: one of them must say how long to "
          "train");
  check_gate(settings.model, family_of(settings.run.model));
  if (is_language_model(settings)) return check_language(settings);
  require(settings.data.corpus.empty(), ExitCode::usage,
          "data.corpus is text for language models, and task {} has none: leave it out, or write "
          "--task {}",
          settings.run.task, kLanguageTask);
  check_name(settings.task);
  const int ids = own_task(settings).model_vocabulary();
  require(settings.model.vocab_size >= ids, ExitCode::data,
          "model.vocab_size must be at least {}, because a task with data.vocabulary = {} uses ids "
          "0 to {}; got {}",
          ids, settings.data.vocabulary, ids - 1, settings.model.vocab_size);
}

}  // namespace farsight
