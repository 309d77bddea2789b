// From the places where settings are written to the settings of a run, each knowing its origin.
//
// Later wins:  built-in < preset < recipe < model < settings file < command line
//
// The preset, recipe and model are themselves settings: the command line's name wins over the
// file's. Where a file names one and the command line another, the file's values of what the two
// set are dropped, for they belonged to the old name: `--config runs/a/config.toml --model
// mamba-2x` has twice the states, although the file says how many run a had.
//
// train.steps and train.epochs answer one question; the one given later wins: a layer that gives
// epochs and no steps sets steps to 0.
#pragma once

#include <string>
#include <vector>

#include "train/presets.h"
#include "train/settings.h"

namespace farsight {

enum class Origin : std::uint8_t { built_in, preset, recipe, model, file, flag };
std::string_view name_of(Origin origin);

struct Resolved {
  Settings settings;
  std::vector<Origin> origins;  ///< of every setting, in the order of the table

  Origin origin_of(std::string_view name) const;
};

/// `model` is trained where neither names one. Throws Error(usage or data) if the settings do not
/// fit together (check_consistency).
Resolved resolve(const Assignments& file, const Assignments& flags,
                 std::string_view model = RunSettings().model);

/// The settings as TOML, each with its origin: what --print-config prints.
std::string print_config(const Resolved& resolved);

}  // namespace farsight
