#include "train/resolve.h"

#include <fmt/format.h>

#include "core/check.h"
#include "train/task.h"
#include "train/toml.h"

namespace farsight {

namespace {

const Assignment* find(const Assignments& assignments, std::string_view name) {
  const Assignment* found = nullptr;
  for (const Assignment& assignment : assignments) {
    if (assignment.setting->name == name) found = &assignment;  // the last one wins
  }
  return found;
}

std::size_t index_of(const Setting& setting) {
  return static_cast<std::size_t>(&setting - all_settings().data());
}

void apply(const Assignments& assignments, Origin origin, Resolved& resolved) {
  for (const Assignment& assignment : assignments) {
    assignment.setting->set(resolved.settings, assignment.value);
    resolved.origins[index_of(*assignment.setting)] = origin;
  }
  const bool epochs = find(assignments, "train.epochs") != nullptr;
  const bool tokens = find(assignments, "train.tokens") != nullptr;
  if (find(assignments, "train.steps") != nullptr) return;
  if (epochs || tokens) {
    resolved.settings.train.steps = 0;
    resolved.origins[index_of(setting_named("train.steps"))] = origin;
  }
  if (epochs && !tokens) {
    resolved.settings.train.tokens = 0;
    resolved.origins[index_of(setting_named("train.tokens"))] = origin;
  }
}

/// The name that the file gives, if the command line gives another: "" otherwise.
std::string replaced(std::string_view name, const Assignments& file, const Assignments& flags) {
  const Assignment* in_file = find(file, name);
  const Assignment* in_flags = find(flags, name);
  const bool differ =
      in_file != nullptr && in_flags != nullptr && in_file->value != in_flags->value;
  return differ ? std::get<std::string>(in_file->value) : "";
}

/// Puts what `layer` sets back to what it was before the file.
void restore(const Assignments& layer, const Resolved& base, Resolved& resolved) {
  for (const Assignment& assignment : layer) {
    const std::size_t i = index_of(*assignment.setting);
    assignment.setting->set(resolved.settings, assignment.setting->get(base.settings));
    resolved.origins[i] = base.origins[i];
  }
}

}  // namespace

std::string_view name_of(Origin origin) {
  constexpr std::string_view kNames[] = {"built-in", "preset", "recipe", "task",
                                         "model",    "file",   "flag"};
  return kNames[static_cast<std::size_t>(origin)];
}

Origin Resolved::origin_of(std::string_view name) const {
  return origins[index_of(setting_named(name))];
}

Assignments with_task_file(const Assignments& assignments) {
  const Assignment* task = find(assignments, "run.task");
  if (task == nullptr || !is_task_file(std::get<std::string>(task->value))) return assignments;
  const std::string path = std::get<std::string>(task->value);
  const Assignments declared = read_toml_file(path);
  const bool named = find(declared, "run.task") != nullptr;
  Assignments result;
  if (!named) result.push_back({task->setting, std::string("standard"), task->where});
  for (const Assignment& assignment : declared) {
    const std::string_view section = assignment.setting->section();
    require(section == "task" || section == "data" || assignment.setting->name == "run.task",
            ExitCode::usage,
            "{}: a task's file has [task], [data] and the task it starts from, [run] task = NAME; "
            "{} belongs into a settings file (--config)",
            assignment.where, assignment.setting->name);
    const bool again = section == "run" && is_task_file(std::get<std::string>(assignment.value));
    require(!again, ExitCode::usage, "{}: a task's file starts from a named task, not from a file",
            assignment.where);
    result.push_back(assignment);
  }
  for (const Assignment& assignment : assignments) {
    if (assignment.setting != task->setting) result.push_back(assignment);
  }
  return result;
}

Resolved resolve(const Assignments& given_file, const Assignments& given_flags,
                 std::string_view model) {
  const Assignments file = with_task_file(given_file), flags = with_task_file(given_flags);
  Settings named;  // only its preset, recipe, task and model are read
  named.run.model = model;
  for (const Assignments* layer : {&file, &flags}) {
    for (const Assignment& assignment : *layer)
      assignment.setting->set(named, assignment.value);
  }
  const Assignments preset = preset_assignments(named.run.preset);
  const Assignments recipe = recipe_assignments(named.run.recipe, named.run.model);

  Resolved base{.settings = {},
                .origins = std::vector<Origin>(all_settings().size(), Origin::built_in)};
  RunSettings& names = base.settings.run;  // the layers below may ask for them
  names.preset = named.run.preset;
  names.recipe = named.run.recipe;
  names.task = named.run.task;
  names.model = named.run.model;
  apply(preset, Origin::preset, base);
  apply(recipe, Origin::recipe, base);
  const Assignments task = task_assignments(named.run.task, named.run.preset);
  apply(task, Origin::task, base);
  const Assignments sizes = model_assignments(named.run.model, named.run.preset, base.settings);
  apply(sizes, Origin::model, base);

  Resolved resolved = base;
  apply(file, Origin::file, resolved);
  const std::string old_preset = replaced("run.preset", file, flags);
  const std::string old_recipe = replaced("run.recipe", file, flags);
  const std::string old_model = replaced("run.model", file, flags);
  if (!old_preset.empty()) {
    restore(preset_assignments(old_preset), base, resolved);
    restore(preset, base, resolved);
  }
  if (!old_recipe.empty() || !old_model.empty()) {
    restore(recipe_assignments(old_recipe.empty() ? named.run.recipe : old_recipe,
                               old_model.empty() ? named.run.model : old_model),
            base, resolved);
    restore(recipe, base, resolved);
  }
  const std::string old_task = replaced("run.task", file, flags);
  if (!old_preset.empty() || !old_task.empty()) {
    restore(task_assignments(old_task.empty() ? named.run.task : old_task,
                             old_preset.empty() ? named.run.preset : old_preset),
            base, resolved);
    restore(task, base, resolved);
  }
  // Text has sizes of its own: to it or from it, what the model is changes too.
  const bool text_or_not =
      !old_task.empty() && (old_task == kLanguageTask || named.run.task == kLanguageTask);
  if (!old_preset.empty() || !old_model.empty() || text_or_not) {
    Settings old = base.settings;
    if (!old_task.empty()) old.run.task = old_task;
    restore(model_assignments(old_model.empty() ? named.run.model : old_model,
                              old_preset.empty() ? named.run.preset : old_preset, old),
            base, resolved);
    restore(sizes, base, resolved);
  }

  apply(flags, Origin::flag, resolved);
  check_consistency(resolved.settings);
  return resolved;
}

std::string print_config(const Resolved& resolved) {
  std::string text;
  std::string_view section;
  for (const Setting& setting : all_settings()) {
    if (setting.section() != section) {
      section = setting.section();
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    const std::string line =
        fmt::format("{} = {}", setting.key(), toml_of(setting.get(resolved.settings)));
    text += fmt::format("{:<44} # {}\n", line, name_of(resolved.origin_of(setting.name)));
  }
  return text;
}

}  // namespace farsight
