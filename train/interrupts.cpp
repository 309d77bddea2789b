#include "train/interrupts.h"

#include <csignal>
#include <cstdlib>

namespace farsight {
namespace {

volatile std::sig_atomic_t caught = 0;  // the first signal; 0: none

extern "C" void on_interrupt(int signal) {
  if (caught != 0 && signal != SIGUSR1) std::_Exit(128 + signal);
  if (caught == 0) caught = signal;
}

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1};

}  // namespace

CatchInterrupts::CatchInterrupts() {
  caught = 0;
  for (const int signal : kSignals) {
    std::signal(signal, on_interrupt);
  }
}
CatchInterrupts::~CatchInterrupts() {
  for (const int signal : kSignals) {
    std::signal(signal, SIG_DFL);
  }
}
bool CatchInterrupts::requested() {
  return caught != 0;
}
ExitCode CatchInterrupts::exit_code() {
  return caught == SIGINT ? ExitCode::interrupted : ExitCode::resumable;
}
std::string_view CatchInterrupts::name() {
  return caught == SIGINT ? "SIGINT" : caught == SIGTERM ? "SIGTERM" : "SIGUSR1";
}

}  // namespace farsight
