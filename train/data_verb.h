// farsight data make|show|audit|export|import
#pragma once

#include <span>
#include <string>

namespace farsight {

inline constexpr const char* kDataHelp =
    "makes, shows, audits, exports and imports sets of examples: data "
    "make|show|audit|export|import";

/// `words`: those after the verb. Returns the exit code; an audit that finds broken rules has
/// ExitCode::corrupt.
int run_data_verb(std::span<const std::string> words);

}  // namespace farsight
