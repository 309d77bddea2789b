// The recall task that settings describe.
#pragma once

#include <string_view>

#include "data/mqar.h"
#include "train/settings.h"

namespace farsight {

/// `task` (standard, last, shuffle) on the grid, vocabulary and filler of settings.data: the task
/// trained on, or another one to test on. Throws Error(data) where the settings admit no such task.
MqarTask task_of(const Settings& settings, std::string_view task);

/// Rules that involve more than one setting, all of them. Throws Error(usage or data).
void check_consistency(const Settings& settings);

}  // namespace farsight
