#include "train/repro/repro_command.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "train/repro/repro.h"
#include "train/toml.h"
#include "train/words.h"

namespace farsight {
namespace {

constexpr VerbOption kOptions[] = {
    {"level", "pocket|tiny|full|micro",
     "how large: presets of these names, and micro, a trial run "
     "of seconds [pocket]"},
    {"table", "LIST",
     "tables to make: 1, 2, 3, all of these or none [all, or none beside --figure]; or 4, language "
     "models, on --corpus FILES or the data folder's wiki corpus"},
    {"figure", "LIST",
     "figures to make: 1, 4, 6a, 6b, 8, 9, 10, 11, all or none [all, or none beside --table]"},
    {"seeds", "N", "runs of every training, with seeds 42, 43, ... [1]"},
    {"lrs", "LIST",
     "learning rates to try, for example 5e-4,1e-3,3e-3; the one that is best on the validation "
     "examples is reported [the preset's]"},
    {"init", "standard|released", "first parameters; the setting model.init"},
    {"jobs", "N",
     "runs at a time [a processor each; on GPUs as many as the level gives each of them]"},
    {"out", "DIR", "folder of all runs and of the report [repro/LEVEL]"},
    {"dry-run", "", "print the plan and stop"},
    {"report-only", "", "train nothing: report on what is there, and say what is missing"},
    {"overwrite", "", "delete runs of other settings that are in the way"},
    {"help", "", "print this text and stop"},
};

std::int64_t integer(const Words& words, const std::string& flag, double most,
                     std::int64_t otherwise) {
  const auto text = words.value(flag);
  if (!text) return otherwise;
  const Setting range{.kind = Kind::integer, .least = 1, .most = most};
  return std::get<std::int64_t>(parse_value(range, *text, "--" + flag));
}

std::vector<double> rates_of(const std::optional<std::string>& list) {
  std::vector<double> rates;
  if (!list) return rates;
  for (std::size_t from = 0; from <= list->size();) {
    const std::size_t end = std::min(list->find(',', from), list->size());
    const Value rate =
        parse_value(setting_named("train.lr"), list->substr(from, end - from), "--lrs");
    require(std::get<double>(rate) > 0, ExitCode::usage, "--lrs: a learning rate must not be 0");
    if (std::find(rates.begin(), rates.end(), std::get<double>(rate)) == rates.end()) {
      rates.push_back(std::get<double>(rate));
    }
    from = end + 1;
  }
  return rates;
}

/// What every run of the reproduction decides for itself.
void refuse_settings_of_runs(const Assignments& given) {
  constexpr std::pair<std::string_view, std::string_view> kOwn[] = {
      {"run.task", "--table and --figure"},
      {"run.model", "--table and --figure"},
      {"run.preset", "--level"},
      {"run.seed", "--seeds"},
      {"train.lr", "--lrs"},
      {"run.threads", "--jobs"},
      {"run.out", "--out"}};
  for (const Assignment& assignment : given) {
    require(assignment.setting->section() != "task", ExitCode::usage,
            "farsight repro: {}: the paper's tasks are as they are; a variant is trained by `mamba "
            "train`",
            assignment.where);
    for (const auto& [setting, instead] : kOwn) {
      require(assignment.setting->name != setting, ExitCode::usage,
              "farsight repro: {} is chosen by {}, not by itself", assignment.where, instead);
    }
  }
}

std::string text_of(const Value& value) {
  return std::holds_alternative<std::string>(value) ? std::get<std::string>(value) : toml_of(value);
}

ReproCommand command_of(const Words& words) {
  ReproCommand command;
  ReproOptions& options = command.options;
  options.level = repro_level(words.value("level").value_or("pocket")).name;
  const auto tables = words.value("table"), figures = words.value("figure");
  options.wanted.tables = table_names(tables.value_or(figures ? "none" : "all"));
  options.wanted.figures = figure_names(figures.value_or(tables ? "none" : "all"));
  options.seeds = integer(words, "seeds", 1000, 1);
  options.rates = rates_of(words.value("lrs"));
  options.out = words.value("out").value_or(fmt::format("repro/{}", options.level));
  const Assignments given = words.assignments();
  refuse_settings_of_runs(given);
  for (const Assignment& assignment : given) {
    options.settings.emplace_back(assignment.setting->name, text_of(assignment.value));
  }
  if (const auto init = words.value("init")) {
    const Setting& setting = setting_named("model.init");
    options.settings.emplace_back("model.init", text_of(parse_value(setting, *init, "--init")));
  }
  command.jobs = integer(words, "jobs", 1024, 0);
  command.dry_run = words.has("dry-run");
  command.report_only = words.has("report-only");
  options.tests = !command.report_only;
  command.overwrite = words.has("overwrite");
  return command;
}

/// Of one training at the level; help must come whatever else the command line holds.
Settings settings_for_help(const Words& words) {
  const Training training = {"mamba", "standard"};
  const auto settings_at = [&](std::string_view level) {
    NamedSettings given = {{"run.task", training.task},
                           {"run.model", training.model},
                           {"run.preset", std::string(repro_level(level).preset)}};
    const NamedSettings changed = level_settings(level, training);
    given.insert(given.end(), changed.begin(), changed.end());
    return resolved_settings(given);
  };
  try {
    return settings_at(words.value("level").value_or("pocket"));
  } catch (const Error&) {
    return settings_at("pocket");
  }
}

}  // namespace

ReproCommand parse_repro(std::span<const std::string> arguments) {
  const Words words("farsight repro", kOptions, {arguments.begin(), arguments.end()});
  if (words.has("help")) {
    ReproCommand help;
    help.text =
        verb_help("farsight", "repro", kReproHelp, kOptions, settings_for_help(words)) +
        "\nValues are those of mamba trained on standard at the level; other runs have others: "
        "see --dry-run\nand the config.toml of each.\n";
    return help;
  }
  words.refuse_unknown();
  return command_of(words);
}

}  // namespace farsight
