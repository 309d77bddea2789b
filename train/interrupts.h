// Ctrl-C and SIGTERM while a run is under way: the first asks for a checkpoint, the second ends the
// process.
#pragma once

namespace farsight {

/// Set by SIGINT and SIGTERM while a CatchInterrupts is alive; a second signal ends the process.
class CatchInterrupts {
 public:
  CatchInterrupts();
  ~CatchInterrupts();
  CatchInterrupts(const CatchInterrupts&) = delete;
  CatchInterrupts& operator=(const CatchInterrupts&) = delete;
  static bool requested();
};

}  // namespace farsight
