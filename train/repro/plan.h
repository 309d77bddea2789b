// Which runs a reproduction needs, each once, with the commands that make them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "train/repro/exhibits.h"
#include "train/repro/level.h"
#include "train/settings.h"

namespace farsight {

struct ReproOptions {
  bool tests = true;  ///< tests are to be made: those that lack their files are left out
  std::string level = "pocket";
  Wanted wanted = all_exhibits();
  std::int64_t seeds = 1;       ///< 42, 43, ...
  std::vector<double> rates{};  ///< learning rates to choose from; empty: that of the preset
  NamedSettings settings{};     ///< of the user, for every run; they win over the level's
  std::filesystem::path out{};
};

struct PlannedRun {
  std::string name;  ///< "k2v2-mamba-gs-lr0.001-seed42": of its folder
  Training training;
  std::int64_t seed = 0;
  Settings settings;                 ///< resolved
  NamedSettings given{};             ///< those that the command line sets
  std::vector<std::string> tests{};  ///< tasks that the exhibits need it tested on
  std::int64_t language_items = 0;   ///< the first so many of each of them, if it is text; 0: all
};

/// The seed of the first run; the others follow it.
inline constexpr std::int64_t kFirstSeed = 42;

/// Trainings x learning rates x seeds, in the order of the exhibits.
/// Throws Error(usage, data) where the settings do not fit together.
std::vector<PlannedRun> plan_runs(const ReproOptions& options);

/// The words behind a program's name that train a run in `folder`: "train --task standard ...".
/// `around` are settings that do not change numbers: threads, device.
std::vector<std::string> training_words(const PlannedRun& run, const std::filesystem::path& folder,
                                        const NamedSettings& around);

/// Settings given by name, checked and resolved.
Settings resolved_settings(const NamedSettings& given);

}  // namespace farsight
