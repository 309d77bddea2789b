// The names a run is described by, and what each of them sets: tasks, presets (sizes and protocol, files
// in presets/, built into the program), recipes (the paper's text, its released code, or ours) and
// models. resolve.h puts them in order.
//
// A model's name is that of its family, or of a variant: mamba, mamba-2x, pythia-160m. A preset's
// own file has the sizes of Mamba; presets/NAME/FAMILY.toml says what another family changes, and
// presets/NAME/MODEL.toml, where there is one, what a variant of it changes.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/settings.h"

namespace farsight {

/// A name with one line about it, as printed by --list.
struct NamedChoice {
  std::string_view name;
  std::string_view help;
};

std::span<const NamedChoice> task_choices();
std::span<const NamedChoice> model_choices();
std::span<const NamedChoice> preset_choices();
std::span<const NamedChoice> recipe_choices();

/// The TOML text of a built-in preset. Throws Error(usage) for an unknown name.
std::string_view preset_text(std::string_view preset);

/// One setting that gets a value, and what to call the place it was written in.
struct Assignment {
  const Setting* setting;
  Value value;
  std::string where;  ///< "--lr", "presets/tiny.toml, line 12: train.lr"
};
using Assignments = std::vector<Assignment>;

Assignments preset_assignments(std::string_view preset);
/// A recipe may say more of some models: the release trains Hyena and RWKV in bf16 alone.
Assignments recipe_assignments(std::string_view recipe, std::string_view model);

/// What a named task sets: all of [task], and what presets/PRESET/tasks.toml changes of it and of the
/// sizes for this task.
Assignments task_assignments(std::string_view task, std::string_view preset);

/// Tokens of the longest example of the run's own task, or of a block of text. Throws Error(data) where
/// there is no cell.
std::int64_t longest_length(const Settings& settings);

/// The family of a model's name: "mamba" for "mamba-2x".
std::string_view family_of(std::string_view model);

/// What the model's name sets on top of `base` (the settings after preset, recipe and task): the file
/// of its family, its own; on the task lm then presets/NAME/lm.toml, lm-FAMILY.toml and lm-MODEL.toml,
/// and what the recipe says of language models; then
///   mamba-2x, mamba-4x   twice, four times the state: d_state
///   mamba-gs             global selection: gate_kernel = longest length / 4 (the authors' 128
///                        taps for 512 tokens and 512 for 2,048)
///   hyena, rwkv          l_max, where the task's examples are longer
///   pythia-160m          half as many layers again: n_layer
Assignments model_assignments(std::string_view model, std::string_view preset,
                              const Settings& base);

}  // namespace farsight
