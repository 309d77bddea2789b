// The command line of `farsight repro`.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "train/repro/plan.h"

namespace farsight {

struct ReproCommand {
  ReproOptions options;
  std::int64_t jobs = 0;  ///< 0: as many as fit
  bool dry_run = false, report_only = false, overwrite = false;
  std::string text{};  ///< not empty: print this and stop
};

/// `words`: those behind the verb. Only reads. Throws Error(usage), with the nearest name.
ReproCommand parse_repro(std::span<const std::string> words);

}  // namespace farsight
