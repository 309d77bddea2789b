// The task that settings describe: a recall task, or text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/mqar.h"
#include "train/settings.h"

namespace farsight {

/// The name in run.task of what is no recall task: language modelling on data.corpus.
inline constexpr std::string_view kLanguageTask = "lm";
bool is_language_model(const Settings& settings);

/// What a run's own task is called: its task.name; else run.task, with "-variant" behind it when the
/// description has been changed.
std::string own_task_name(const Settings& settings);

/// The recall task that a run is trained on. Throws Error(data) where the settings admit no such task,
/// Error(usage) for lm, which is none.
MqarTask own_task(const Settings& settings);

/// The task to test on that `task` names: the run's own, a named one, or a file that declares one
/// (FILE.toml); on the lengths, vocabulary and filler of the settings where it has none of its own.
/// Throws Error(data) where the settings admit no such task, Error(usage) for what names none.
MqarTask task_of(const Settings& settings, std::string_view task);

/// What the run is tested on: test_tasks of its task, and a variant itself first; nothing for lm.
std::vector<std::string> test_tasks_of(const Settings& settings);

/// Rules that involve more than one setting, all of them. Throws Error(usage or data).
void check_consistency(const Settings& settings);

}  // namespace farsight
