#include "train/interrupts.h"

#include <csignal>
#include <cstdlib>

namespace farsight {
namespace {

volatile std::sig_atomic_t interrupts = 0;

extern "C" void on_interrupt(int signal) {
  if (interrupts != 0) std::_Exit(128 + signal);
  interrupts = 1;
}

}  // namespace

CatchInterrupts::CatchInterrupts() {
  interrupts = 0;
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
}
CatchInterrupts::~CatchInterrupts() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}
bool CatchInterrupts::requested() {
  return interrupts != 0;
}

}  // namespace farsight
