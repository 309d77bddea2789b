#include "train/ambiguities.h"

#include <fmt/format.h>

#include <array>
#include <optional>
#include <span>

#include "core/check.h"
#include "train/resolve.h"
#include "train/task.h"

namespace farsight {

namespace {

struct Question {
  std::string_view setting;
  std::string_view open;
};

constexpr auto kQuestions = std::to_array<Question>({
    {"model.init", "the release sets all biases of Linear layers to 0, the dt bias among them"},
    {"train.grad_clip", "the text names no clip for these tasks, 1.0 for language models"},
    {"train.clip_kind", "the release clamps each element, other trainers scale the norm"},
    {"train.decay_scope", "the release decays every tensor, norms and A_log among them"},
    {"train.lr", "swept; the values are not in the text, scripts have 5e-4 to 3e-3"},
    {"train.epochs", "30 in the text; the script of K4V8 that survives has 60"},
    {"train.steps", "0: as many as the epochs take"},
    {"train.batch_size", "8 to 368 in the logs, mostly 144 to 160"},
    {"data.filler", "random ids in the text, zeros in the driver of the working tree"},
    {"data.separator_target", "the release trains the separator after a value too"},
    {"data.examples_per_cell", "20,000 in the text, 100 in the released builder"},
    {"data.valid_examples_per_cell", "100"},
    {"data.test_examples_per_cell", "100"},
    {"checkpoint.best_by", "the best by validation loss is kept, test scripts load the last"},
    {"run.dtype", "the release: bf16 autocast over f32 weights"},
    {"model.storage", "the release keeps Hyena and RWKV in bf16 alone"},
    {"run.seed", "42 in the release"},
});

// Of language models (Table 4), whose tasks have no examples.
constexpr auto kTextQuestions = std::to_array<Question>({
    {"model.init", "the release sets all biases of Linear layers to 0, the dt bias among them"},
    {"train.lr", "8e-4 in the text and the scripts"},
    {"train.weight_decay", "0.01 in the text, 0.1 in the code that ran"},
    {"train.grad_clip", "1.0"},
    {"train.clip_kind", "not said; the release clamps each element"},
    {"train.decay_scope", "the release decays every tensor, norms and A_log among them"},
    {"train.tokens", "3 billion; max_epochs 2 in several scripts"},
    {"train.batch_size",
     "about 0.5 million tokens in the text, 0.05 to 0.9 million in the scripts"},
    {"data.block", "2,048 tokens, 2,047 of them labelled"},
    {"data.packing", "the authors put nothing between documents and drop what 1,000 of them leave"},
    {"data.corpus", "a sample of SlimPajama that is not named: any text here"},
    {"data.validation_blocks", "cut to 1,000 blocks"},
    {"model.gate_kernel", "512 taps"},
    {"model.gate_layers", "'certain layers' in the text; 7, 15, 23 in the code"},
    {"checkpoint.best_by", "not said; the best by validation loss is kept"},
    {"run.dtype", "the release: bf16 autocast over f32 weights"},
    {"model.storage", "the release keeps Hyena and RWKV in bf16 alone"},
    {"run.seed", "42 in the release"},
});

/// The settings that a recipe gives for the same task, preset and model; nothing where it does not
/// fit them.
std::optional<Settings> with_recipe(const Settings& settings, std::string_view recipe) {
  Assignments names;
  for (const char* name : {"run.preset", "run.task", "run.model"}) {
    names.push_back({&setting_named(name), setting_named(name).get(settings), "the run"});
  }
  names.push_back({&setting_named("run.recipe"), std::string(recipe), "the report"});
  try {
    return resolve({}, names).settings;
  } catch (const Error&) {
    return std::nullopt;
  }
}

bool has_gate(const Settings& settings) {
  return settings.model.gate_kernel > 0 || settings.model.gate == GateKind::attn;
}

std::string value_text(const Setting& setting, const std::optional<Settings>& settings) {
  return settings ? fmt::format("`{}`", shown_value(setting.get(*settings))) : "–";
}

}  // namespace

std::string shown_value(const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text != nullptr ? *text : toml_of(value);
}

Table ambiguity_table(const Settings& settings) {
  Table table{.caption =
                  "Where the paper's text and its released code disagree or say nothing, and "
                  "what was done here.",
              .columns = {{"setting"}, {"here"}, {"paper-text"}, {"paper-code"}, {"what is open"}}};
  const std::optional<Settings> text = with_recipe(settings, "paper-text");
  const std::optional<Settings> code = with_recipe(settings, "paper-code");
  const std::span<const Question> questions =
      is_language_model(settings) ? std::span<const Question>(kTextQuestions) : kQuestions;
  for (const Question& question : questions) {
    const Setting* setting = find_setting(question.setting);
    if (setting == nullptr) continue;
    // What a gate would be is no question of a model without one.
    if (!has_gate(settings) && question.setting.starts_with("model.gate")) continue;
    table.rows.push_back({{std::string(question.setting)},
                          {value_text(*setting, settings)},
                          {value_text(*setting, text)},
                          {value_text(*setting, code)},
                          {std::string(question.open)}});
  }
  return table;
}

}  // namespace farsight
