#include "train/presets.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "data/task_grid.h"
#include "train/task.h"
#include "train/toml.h"

namespace farsight {

namespace {

struct Preset {
  std::string_view name;
  std::string_view family;  ///< whose changes these are; "": the preset itself
  std::string_view text;
};

constexpr Preset kPresets[] = {
#include "presets.inc"
};

constexpr NamedChoice kModels[] = {
    {"mamba", "Mamba; 129,135,360 parameters with preset full"},
    {"mamba-2x", "Mamba with twice the state; 130,904,832 parameters"},
    {"mamba-4x", "Mamba with four times the state; 134,443,776 parameters"},
    {"mamba-gs",
     "Mamba with global selection, a long convolution that gates the step size; "
     "133,890,816 parameters"},
    {"pythia",
     "Pythia, a transformer with rotary positions; 133,971,456 parameters with preset full"},
    {"hyena", "Hyena, implicit long convolutions; 153,969,984 parameters with preset full"},
    {"hyena-safari", "Hyena as its authors published it; 153,700,416 parameters"},
    {"rwkv",
     "RWKV-4's time mixing with a plain MLP, as the paper trains it; 153,323,520 parameters with "
     "preset full"},
    {"rwkv-169m",
     "RWKV-4 as its authors published it, with channel mixing; 169,342,464 parameters"},
    {"rwkv-266m", "RWKV-4 at the sizes that the paper gives; 266,684,416 parameters"},
    {"rwkv-430m", "RWKV-4 as published, twice as many layers; 430,397,440 parameters"},
    {"pythia-160m", "Pythia with half as many layers again, as published; 162,322,944 parameters"},
};

constexpr NamedChoice kRecipes[] = {
    {"farsight",
     "this project's defaults: the released optimiser, standard initialisation, "
     "20,000 examples per cell"},
    {"paper-text",
     "what the paper says: clip by norm, standard initialisation, best checkpoint, "
     "20,000 examples per cell"},
    {"paper-code",
     "what the paper's release does: clip by value, decay of all parameters, dt bias "
     "0, last checkpoint, 100 examples per cell"},
};

// Whom to follow where the paper's text and its code (ZetangForward/Global_Mamba:
// src/train_dev2.py, configs/, custom_dataset/build_mqar.py) disagree, switch by switch. Rows in
// which the two agree are named all the same: a recipe says all it stands for.
// The recipe "farsight" is the built-in values and changes nothing.

// Text: 20,000 examples per configuration; weight decay 0.1; best checkpoint on validation. It
// gives no clip for MQAR (1.0 for language models) and no decay scope: the usual ones are taken,
// norm and matrices.
constexpr std::string_view kPaperText = R"(
[model]
init = "standard"
[data]
filler = "random"
examples_per_cell = 20000
[train]
weight_decay = 0.1
decay_scope = "matrices"
grad_clip = 1.0
clip_kind = "norm"
[checkpoint]
best_by = "pair-accuracy"
)";

// Release: its builder writes 100 examples per cell for every split (the logs imply 20,000, so its
// tables were not made this way); decay on every tensor; clip by value, as its trainer does under
// data parallelism; Linear biases, dt bias among them, set to 0; test scripts load the last
// checkpoint. Its builder fills with random ids; data.filler = "zero" is its working tree's driver.
constexpr std::string_view kPaperCode = R"(
[model]
init = "released"
[data]
filler = "random"
examples_per_cell = 100
[train]
weight_decay = 0.1
decay_scope = "all"
grad_clip = 1.0
clip_kind = "value"
[checkpoint]
best_by = "last"
)";
// It also builds Hyena and RWKV with .to(bfloat16): weights, gradients and moments.
constexpr std::string_view kPaperCodeNarrow = R"(
[run]
dtype = "bf16"
[model]
storage = "bf16"
)";

// Of language models the text says another decay; the release clips them as it clips the others, and
// its scripts test the last checkpoint.
constexpr std::string_view kPaperTextLanguage = R"(
[train]
weight_decay = 0.01
)";
constexpr std::string_view kPaperCodeLanguage = R"(
[train]
clip_kind = "value"
[checkpoint]
best_by = "last"
)";

std::string_view recipe_of_language(std::string_view recipe) {
  if (recipe == "paper-text") return kPaperTextLanguage;
  return recipe == "paper-code" ? kPaperCodeLanguage : "";
}

/// Null when there is none.
const Preset* find_preset(std::string_view name, std::string_view family) {
  const auto* preset = std::find_if(std::begin(kPresets), std::end(kPresets), [&](const Preset& p) {
    return p.name == name && p.family == family;
  });
  return preset == std::end(kPresets) ? nullptr : preset;
}

/// The text of the first comment line: what --list says about a preset.
std::string_view first_comment(std::string_view text) {
  const std::string_view line = text.substr(0, text.find('\n'));
  return line.substr(0, 2) == "# " ? line.substr(2) : line;
}

Assignments assignments_without_names(std::string_view text, std::string_view source) {
  Assignments result = read_toml(text, source);
  for (const Assignment& assignment : result) {
    const std::string_view name = assignment.setting->name;
    const bool names_itself = name == "run.preset" || name == "run.recipe" || name == "run.model";
    require(!names_itself && name != "run.out", ExitCode::usage,
            "{}: a preset or recipe cannot choose {}", assignment.where, name);
  }
  return result;
}

Settings with(const Assignments& assignments, Settings settings) {
  for (const Assignment& assignment : assignments) {
    assignment.setting->set(settings, assignment.value);
  }
  return settings;
}

/// What the name sets beyond its family's sizes, `base`.
Assignments variant_assignments(std::string_view model, const Settings& base) {
  const std::string where = fmt::format("model {}", model);
  if (model == "pythia-160m") {
    return {{&setting_named("model.n_layer"), base.model.n_layer * 3 / 2, where}};
  }
  const std::string_view family = family_of(model);
  const std::int64_t longest = longest_length(base);
  if ((family == "hyena" || family == "rwkv") && longest > base.model.l_max) {
    return {{&setting_named("model.l_max"), longest, where}};
  }
  if (family != "mamba") return {};
  const std::int64_t states = model == "mamba-2x" ? 2 : model == "mamba-4x" ? 4 : 1;
  const bool gated = model == "mamba-gs";
  const std::int64_t kernel = gated ? longest / 4 : 0;
  return {{&setting_named("model.d_state"), base.model.d_state * states, where},
          {&setting_named("model.gate_kernel"), kernel, where}};
}

}  // namespace

std::span<const NamedChoice> task_choices() {
  static const std::vector<NamedChoice> choices = [] {
    std::vector<NamedChoice> list;
    for (const NamedTask& task : named_tasks()) {
      list.push_back({task.name, task.help});
    }
    list.push_back({kLanguageTask,
                    "language modelling: foretell each token of a text (--corpus, --tokenizer)"});
    return list;
  }();
  return choices;
}
std::span<const NamedChoice> model_choices() {
  return kModels;
}
std::span<const NamedChoice> recipe_choices() {
  return kRecipes;
}

std::span<const NamedChoice> preset_choices() {
  static const std::vector<NamedChoice> choices = [] {
    std::vector<NamedChoice> list;
    for (const Preset& preset : kPresets) {
      if (preset.family.empty()) list.push_back({preset.name, first_comment(preset.text)});
    }
    return list;
  }();
  return choices;
}

std::string_view preset_text(std::string_view name) {
  const Preset* preset = find_preset(name, "");
  check(preset != nullptr, "preset_text: no preset is called '{}'", name);
  return preset->text;
}

Assignments preset_assignments(std::string_view preset) {
  return assignments_without_names(preset_text(preset), fmt::format("presets/{}.toml", preset));
}

Assignments recipe_assignments(std::string_view recipe, std::string_view model) {
  const std::string source = fmt::format("recipe {}", recipe);
  if (recipe == "farsight") return {};
  if (recipe == "paper-text") return assignments_without_names(kPaperText, source);
  check(recipe == "paper-code", "recipe_assignments: no recipe is called '{}'", recipe);
  Assignments result = assignments_without_names(kPaperCode, source);
  if (family_of(model) == "hyena" || family_of(model) == "rwkv") {
    for (Assignment& more : assignments_without_names(kPaperCodeNarrow, source))
      result.push_back(std::move(more));
  }
  return result;
}

Assignments task_assignments(std::string_view task, std::string_view preset) {
  if (task == kLanguageTask) return {};
  const NamedTask* named = find_task(task);
  check(named != nullptr, "task_assignments: no task is called '{}'", task);
  Settings settings;
  settings.task = named->description;
  Assignments result;
  const std::string where = fmt::format("task {}", task);
  for (const Setting& setting : all_settings()) {
    if (setting.section() == "task") result.push_back({&setting, setting.get(settings), where});
  }
  const Preset* changes = find_preset(preset, "tasks");
  if (changes != nullptr) {
    const std::string source = fmt::format("presets/{}/tasks.toml", preset);
    const Assignments more = read_toml_part(changes->text, source, task);
    result.insert(result.end(), more.begin(), more.end());
  }
  return result;
}

std::int64_t longest_length(const Settings& settings) {
  if (is_language_model(settings)) return settings.data.block;
  const auto ints = [](const Integers& list) { return std::vector<int>(list.begin(), list.end()); };
  const TaskSizes sizes{.lengths = ints(settings.data.lengths), .pairs = ints(settings.data.pairs)};
  int longest = 0;
  for (const Cell& cell : grid_of(settings.run.task, settings.task, sizes).cells) {
    longest = std::max(longest, cell.length);
  }
  return longest;
}

std::string_view family_of(std::string_view model) {
  return model.substr(0, model.find('-'));
}

Assignments model_assignments(std::string_view model, std::string_view preset,
                              const Settings& base) {
  const std::string_view family = family_of(model);
  Assignments result;
  const auto add_file = [&](std::string_view name) {
    const Preset* changes = find_preset(preset, name);
    if (changes == nullptr) return;
    const Assignments more =
        assignments_without_names(changes->text, fmt::format("presets/{}/{}.toml", preset, name));
    result.insert(result.end(), more.begin(), more.end());
  };
  add_file(family);
  if (model != family) add_file(model);
  if (is_language_model(base)) {
    add_file("lm");
    add_file(fmt::format("lm-{}", family));
    if (model != family) add_file(fmt::format("lm-{}", model));
    const Assignments more = assignments_without_names(recipe_of_language(base.run.recipe),
                                                       fmt::format("recipe {}", base.run.recipe));
    result.insert(result.end(), more.begin(), more.end());
  }
  const Assignments variant = variant_assignments(model, with(result, base));
  result.insert(result.end(), variant.begin(), variant.end());
  return result;
}

}  // namespace farsight
