// What the command line says about itself, made from the table of settings.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "train/settings.h"

namespace farsight {

/// An option that is not a setting. Where its flag is also the alias of a setting (--task of eval),
/// the option has the flag, and the setting only its long name (--run.task).
struct VerbOption {
  std::string_view flag;   ///< "resume"
  std::string_view value;  ///< "auto|never|PATH", empty for a switch
  std::string_view help;
};

/// Verbs, one line each, and where to read on.
std::string program_help(std::string_view program);

/// The short flag of a setting beside these options: "lr", or "" if it has none.
std::string_view alias_beside(const Setting& setting, std::span<const VerbOption> options);

/// One verb: its own options, then the settings that it `shows`, each with allowed values and its value
/// in `settings`.
std::string verb_help(
    std::string_view program, std::string_view verb, std::string_view summary,
    std::span<const VerbOption> options, const Settings& settings,
    const std::function<bool(const Setting&)>& shows = [](const Setting&) { return true; });

/// One verb that has no settings.
std::string verb_help(std::string_view program, std::string_view verb, std::string_view summary,
                      std::span<const VerbOption> options);

/// --list tasks|models|presets|recipes. Throws Error(usage) for another word.
std::string list_of(std::string_view what);

}  // namespace farsight
