// From the places where settings are written to the settings of a run, each knowing its origin.
//
// Later wins:  built-in < preset < recipe < task < model < settings file < command line
//
// A task that is a file (--task FILE.toml) stands for what the file says: the named task that it
// starts from ([run] task, else standard), and its tables [task] and [data].
//
// The preset, recipe, task and model are themselves settings: the command line's name wins over the
// file's. Where a file names one and the command line another, the file's values of what the two
// set are dropped, for they belonged to the old name: `--config runs/a/config.toml --model
// mamba-2x` has twice the states, although the file says how many run a had.
//
// train.steps, train.tokens and train.epochs answer one question; the one given later wins: a layer
// that gives tokens and no steps sets steps to 0, one that gives epochs and neither sets both to 0.
#pragma once

#include <string>
#include <vector>

#include "train/presets.h"
#include "train/settings.h"

namespace farsight {

enum class Origin : std::uint8_t { built_in, preset, recipe, task, model, file, flag };
std::string_view name_of(Origin origin);

struct Resolved {
  Settings settings;
  std::vector<Origin> origins;  ///< of every setting, in the order of the table

  Origin origin_of(std::string_view name) const;
};

/// The assignments with a task's file, if run.task is one, in the place of its name. Throws
/// Error(usage) where the file sets what is not the task's.
Assignments with_task_file(const Assignments& assignments);

/// `model` is trained where neither names one. Throws Error(usage or data) if the settings do not
/// fit together (check_consistency).
Resolved resolve(const Assignments& file, const Assignments& flags,
                 std::string_view model = RunSettings().model);

/// The settings as TOML, each with its origin: what --print-config prints.
std::string print_config(const Resolved& resolved);

}  // namespace farsight
