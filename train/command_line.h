// The command line of the zoo programs: `mamba train|eval|generate|info|convert|logits`.
//
// parse_command_line() only reads: it returns what to do, or throws Error(usage), and it never
// exits or prints. --help, --version, --list and --print-config come back as text to print.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "train/resolve.h"
#include "train/verb_options.h"

namespace farsight {

enum class Verb : std::uint8_t { print, train, eval, generate, info, convert, logits };

struct Command {
  Verb verb = Verb::print;
  std::string text;   ///< Verb::print: for stdout; then exit 0
  Resolved resolved;  ///< settings with their origins
  TrainOptions train;
  EvalOptions eval;
  GenerateOptions generate;
  InfoOptions info;
  ConvertOptions convert;
  LogitsOptions logits;

  const Settings& settings() const { return resolved.settings; }
};

/// `program` is the name in messages and of the model where nothing names another: "mamba". eval,
/// generate, logits and train --resume PATH take the settings of the run they are given (its
/// config.toml) as their settings file; but for train they refuse settings of training, which could
/// change nothing.
/// Throws Error(usage) for what is misspelt or missing, and what reading the settings throws.
Command parse_command_line(std::string_view program, int argc, const char* const* argv);

}  // namespace farsight
