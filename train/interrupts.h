// Signals that ask a run to end while it is under way: the first asks for a checkpoint, the second ends
// the process.
//
//   SIGINT            Ctrl-C                                        exit code 130
//   SIGTERM, SIGUSR1  a scheduler that wants the machine back       exit code 75: run me again
#pragma once

#include <string_view>

#include "core/check.h"

namespace farsight {

/// Catches them while it is alive. A second SIGINT or SIGTERM ends the process at once; a second
/// SIGUSR1, which is a warning, does not.
class CatchInterrupts {
 public:
  CatchInterrupts();
  ~CatchInterrupts();
  CatchInterrupts(const CatchInterrupts&) = delete;
  CatchInterrupts& operator=(const CatchInterrupts&) = delete;
  static bool requested();
  /// What the process ends with once it has saved: interrupted or resumable.
  static ExitCode exit_code();
  /// "SIGTERM"
  static std::string_view name();
};

}  // namespace farsight
