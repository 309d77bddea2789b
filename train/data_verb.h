// farsight data make|show|audit|export|import|fetch
#pragma once

#include <span>
#include <string>

#include "core/check.h"

namespace farsight {

inline constexpr const char* kDataHelp =
    "makes, shows, audits, exports and imports sets of examples, fetches files: data "
    "make|show|audit|export|import|fetch";

/// What `farsight data WORDS` prints and exits with; an audit that finds broken rules has
/// ExitCode::corrupt.
struct DataOutcome {
  std::string text;
  ExitCode code = ExitCode::ok;
};
DataOutcome data_outcome(std::span<const std::string> words);

/// `words`: those after the verb. Returns the exit code.
int run_data_verb(std::span<const std::string> words);

}  // namespace farsight
