#include "train/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/check.h"
#include "train/nearest.h"
#include "train/presets.h"

namespace farsight {

namespace {

constexpr std::size_t kColumn = 30;  // where descriptions begin
constexpr std::size_t kWidth = 100;

/// How much of a word goes into one line: all, or of a list that is longer what ends in a '|'.
std::size_t piece_of(std::string_view word, std::size_t room) {
  if (word.size() <= room) return word.size();
  const std::size_t bar = word.rfind('|', room - 1);
  return bar == std::string_view::npos ? word.size() : bar + 1;
}

/// `text` broken at spaces; lines after the first begin at `column`, where the first one stands.
std::string wrapped(std::string_view text, std::size_t column) {
  std::string result;
  std::size_t at = column;
  while (!text.empty()) {
    const std::string_view whole = text.substr(0, text.find(' '));
    const std::string_view word = whole.substr(0, piece_of(whole, kWidth - column));
    if (at > column && at + 1 + word.size() > kWidth) {
      result += '\n';
      result.append(column, ' ');
      at = column;
    }
    if (at > column) {
      result += ' ';
      at++;
    }
    result += word;
    at += word.size();
    text.remove_prefix(word.size());
    if (text.starts_with(' ')) text.remove_prefix(1);
  }
  return result;
}

/// `left`, then `text` from column kColumn on, broken at spaces.
std::string entry(std::string_view left, std::string_view text) {
  std::string result = fmt::format("  {}", left);
  if (result.size() + 2 > kColumn) {
    result += '\n';
    result.append(kColumn, ' ');
  } else {
    result.append(kColumn - result.size(), ' ');
  }
  return result + wrapped(text, kColumn) + '\n';
}

std::string flags_of(const Setting& setting, std::span<const VerbOption> options) {
  const std::string_view no = setting.kind == Kind::boolean ? "[no-]" : "";
  const std::string_view alias = alias_beside(setting, options);
  return alias.empty() ? fmt::format("--{}{}", no, setting.name)
                       : fmt::format("--{}{}, --{}{}", no, alias, no, setting.name);
}

std::string described(const Setting& setting, const Settings& settings) {
  const std::string value = toml_of(setting.get(settings));
  const bool free = setting.kind == Kind::boolean || setting.kind == Kind::text;
  if (free) return fmt::format("{} = {}", setting.help, value);
  return fmt::format("{} ({}) = {}", setting.help, allowed_values(setting), value);
}

}  // namespace

std::string program_help(std::string_view program) {
  std::string text = fmt::format(
      "usage: {} train|eval|generate|info|convert|logits [--option value ...]\n\n", program);
  text += entry("train", "trains a model on a recall task, or on text, and tests it");
  text += entry("eval", "tests a trained run on any task, a language model on its validation text");
  text += entry("generate", "continues a prompt, text or ids, with a trained run");
  text += entry("info", "prints a model's parameters without training it");
  text += entry("convert", "writes a checkpoint as others read it");
  text += entry("logits", "writes the logits of given token ids");
  text += '\n';
  text += entry("VERB --help", "a verb's options and what is often set; --help-all: everything");
  text += entry("--list WHAT", "tasks, models, presets or recipes");
  text += entry("--version", "version, commit and what it was built for");
  text += fmt::format("\nexample: {} train --task standard --preset pocket --seed 42\n", program);
  return text;
}

std::string_view alias_beside(const Setting& setting, std::span<const VerbOption> options) {
  const bool taken = std::any_of(options.begin(), options.end(), [&](const VerbOption& option) {
    return option.flag == setting.alias;
  });
  return taken ? "" : setting.alias;
}

std::string verb_help(std::string_view program, std::string_view verb, std::string_view summary,
                      std::span<const VerbOption> options) {
  std::string text =
      fmt::format("usage: {} {} [--option value ...]\n{}\n\n", program, verb, summary);
  text += "options:\n";
  for (const VerbOption& option : options) {
    text += entry(option.value.empty() ? fmt::format("--{}", option.flag)
                                       : fmt::format("--{} {}", option.flag, option.value),
                  option.help);
  }
  return text;
}

std::string verb_help(std::string_view program, std::string_view verb, std::string_view summary,
                      std::span<const VerbOption> options, const Settings& settings,
                      const std::function<bool(const Setting&)>& shows) {
  std::string text = verb_help(program, verb, summary, options);
  text +=
      "\nsettings: what they mean (allowed values) = the value that this command line gives them.\n"
      "Later wins: built-in value, preset, recipe, model, file (--config), command line.\n";
  std::string_view section;
  for (const Setting& setting : all_settings()) {
    if (!shows(setting)) continue;
    if (setting.section() != section) {
      section = setting.section();
      text += fmt::format("\n{}: {}\n", section, section_help(section));
    }
    text += entry(flags_of(setting, options), described(setting, settings));
  }
  return text;
}

std::string list_of(std::string_view what) {
  constexpr auto kLists =
      std::to_array<std::string_view>({"tasks", "models", "presets", "recipes"});
  std::span<const NamedChoice> choices;
  if (what == "tasks") {
    choices = task_choices();
  } else if (what == "models") {
    choices = model_choices();
  } else if (what == "presets") {
    choices = preset_choices();
  } else if (what == "recipes") {
    choices = recipe_choices();
  } else {
    fail(ExitCode::usage, "--list must be one of tasks|models|presets|recipes, got '{}'{}", what,
         did_you_mean(what, kLists));
  }
  std::size_t width = 12;
  for (const NamedChoice& choice : choices) {
    width = std::max(width, choice.name.size());
  }
  std::string text;
  for (const NamedChoice& choice : choices) {
    text += fmt::format("{:<{}} {}\n", choice.name, width, wrapped(choice.help, width + 1));
  }
  return text;
}

}  // namespace farsight
