// Signals that ask a run to end: while it trains the first asks for a checkpoint and the second ends the
// process; while it is tested there is nothing to save, and the first ends it.
//
//   SIGINT            Ctrl-C                                        exit code 130
//   SIGTERM, SIGUSR1  a scheduler that wants the machine back       exit code 75: run me again
#pragma once

#include <string_view>

#include "core/check.h"

namespace farsight {

/// Catches them while it, or the outermost of several, is alive. A second SIGINT or SIGTERM ends the
/// process at once; a second SIGUSR1, which is a warning, does not.
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

/// While it is alive each of them ends the process at once, which says "interrupted by SIGINT " and then
/// `what`.
class EndOnInterrupt {
 public:
  explicit EndOnInterrupt(std::string_view what);
  ~EndOnInterrupt();
  EndOnInterrupt(const EndOnInterrupt&) = delete;
  EndOnInterrupt& operator=(const EndOnInterrupt&) = delete;
};

}  // namespace farsight
