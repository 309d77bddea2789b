// The verbs of the zoo programs: train, eval, generate, info. Each program's main is one line.
#pragma once

#include <string_view>

namespace farsight {

/// Parses, runs, prints; returns the process's exit code (core/check.h). Never throws: an error is
/// one sentence on stderr.
int run_program(std::string_view program, int argc, const char* const* argv);

}  // namespace farsight
