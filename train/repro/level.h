// How large a reproduction is: a preset, and what it changes there.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/repro/trial.h"

namespace farsight {

struct ReproLevel {
  std::string_view name;
  std::string_view preset;
  std::string_view help;
  int runs_per_gpu = 1;             ///< at a time: small models leave most of a GPU idle
  std::int64_t language_items = 0;  ///< the first so many of every language task; 0: all
};

std::span<const ReproLevel> repro_levels();
/// Throws Error(usage) with what there is and the nearest name.
const ReproLevel& repro_level(std::string_view name);

/// Settings by name, as text: {"train.steps", "3"}.
using NamedSettings = std::vector<std::pair<std::string, std::string>>;

/// What the level sets for one training on top of its preset; later entries win.
NamedSettings level_settings(std::string_view level, const Training& training);

/// Without <SEP> targets: what makes a training the control.
NamedSettings control_settings();

}  // namespace farsight
