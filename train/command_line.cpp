#include "train/command_line.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/version.h"
#include "train/help.h"
#include "train/language_eval.h"
#include "train/nearest.h"
#include "train/operations/resume.h"
#include "train/toml.h"
#include "train/verb_syntax.h"
#include "train/words.h"

namespace farsight {

namespace {

namespace fs = std::filesystem;

/// A model that is trained does not learn otherwise by being read.
void refuse_training(const Assignments& given, std::string_view title) {
  for (const Assignment& assignment : given) {
    const Setting& setting = *assignment.setting;
    const bool trains = setting.section() == "train" || setting.section() == "stop" ||
                        setting.section() == "checkpoint";
    require(!trains || setting.name == "train.micro_tokens", ExitCode::usage,
            "{}: {} is about training, and this model is trained already; leave it out", title,
            assignment.where);
  }
}

/// Help must come whatever else the command line holds.
Settings settings_for_help(const Words& words, std::string_view program) {
  try {
    return resolve({}, words.assignments(), program).settings;
  } catch (const Error&) {
    return resolve({}, {}, program).settings;
  }
}

/// A trained run may be named by itself.
std::vector<std::string> words_after(Verb verb, std::span<const std::string> arguments) {
  const std::span<const std::string> rest = arguments.subspan(1);
  const bool reads_run = verb == Verb::eval || verb == Verb::generate || verb == Verb::logits;
  return reads_run ? with_first_as("run", rest) : std::vector(rest.begin(), rest.end());
}

std::string help_of(const VerbSyntax& syntax, const Words& words, std::string_view program,
                    std::string_view verb) {
  const bool all = words.has("help-all");
  const std::string text =
      verb_help(program, verb, syntax.summary, syntax.options, settings_for_help(words, program),
                [&](const Setting& setting) { return all || often_set(syntax.verb, setting); });
  if (all) return text;
  return text + fmt::format("\n`{} {} --help-all` tells of all {} settings.\n", program, verb,
                            all_settings().size());
}

}  // namespace

Command parse_command_line(std::string_view program, int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  const std::string first = arguments.empty() ? "--help" : arguments.front();
  Command command;
  if (first == "--help" || first == "-h" || first == "help") {
    command.text = program_help(program);
    return command;
  }
  if (first == "--version") {
    command.text = fmt::format("{} {}\n", program, version_line());
    return command;
  }
  if (first == "--list" || first.substr(0, 7) == "--list=") {
    const bool joined = first.size() > 6;
    command.text = list_of(joined ? first.substr(7) : arguments.size() > 1 ? arguments[1] : "");
    return command;
  }
  require(std::find(kVerbs.begin(), kVerbs.end(), first) != kVerbs.end(), ExitCode::usage,
          "{}: the first word must be one of {}, got '{}'{}", program, fmt::join(kVerbs, "|"),
          first, did_you_mean(first, kVerbs));

  const VerbSyntax syntax = syntax_of(first);
  const Words words(fmt::format("{} {}", program, first), syntax.options,
                    words_after(syntax.verb, arguments));
  if (words.has("help") || words.has("help-all")) {
    command.text = help_of(syntax, words, program, first);
    return command;
  }
  if (words.has("version")) {
    command.text = fmt::format("{} {}\n", program, version_line());
    return command;
  }
  words.refuse_unknown();
  if (const auto what = words.value("list")) {
    command.text = list_of(*what);
    if (syntax.verb == Verb::eval && *what == "tasks") command.text += language_task_list();
    return command;
  }

  Assignments file;
  Assignments flags = words.assignments();
  if (const auto path = words.value("config")) file = read_toml_file(*path);
  switch (syntax.verb) {
    case Verb::train: {
      command.train = train_options(words);
      if (resumes_path(command.train.resume)) {
        const fs::path config = config_of(command.train.resume, "--resume");
        if (!words.has("config")) file = read_toml_file(config);
        flags.push_back({&setting_named("run.out"), config.parent_path().string(), "--resume"});
      }
      break;
    }
    case Verb::eval:
      command.eval = eval_options(words);
      if (!words.has("config")) file = settings_of(command.eval.weights);
      break;
    case Verb::generate:
      command.generate = generate_options(words);
      if (!words.has("config")) file = settings_of(command.generate.weights);
      break;
    case Verb::info:
      command.info.json = words.has("json");
      break;
    case Verb::convert:
      command.convert = convert_options(words);
      break;
    case Verb::logits:
      command.logits = logits_options(words);
      if (!words.has("config")) file = settings_of(command.logits.weights);
      break;
    case Verb::print:
      break;
  }
  if (syntax.verb == Verb::eval || syntax.verb == Verb::generate || syntax.verb == Verb::logits) {
    refuse_training(flags, fmt::format("{} {}", program, first));
  }
  command.resolved = resolve(file, flags, program);
  if (words.has("print-config")) {
    command.text = print_config(command.resolved);
    return command;
  }
  command.verb = syntax.verb;
  return command;
}

}  // namespace farsight
