// `farsight repro`: the paper's tables and figures by one command.
#pragma once

#include <span>
#include <string>

namespace farsight {

/// One line for the list of verbs.
inline constexpr std::string_view kReproHelp =
    "trains and tests what the paper's tables and figures need, and reports beside its numbers";

/// `words`: those after the verb. Returns the exit code; throws Error.
int run_repro(std::span<const std::string> words);

}  // namespace farsight
