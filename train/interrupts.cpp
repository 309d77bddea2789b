#include "train/interrupts.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

namespace farsight {
namespace {

volatile std::sig_atomic_t caught = 0;  // the first signal; 0: none
int catching = 0;                       // CatchInterrupts that are alive

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1};

std::string_view name_of(int signal) {
  return signal == SIGINT ? "SIGINT" : signal == SIGTERM ? "SIGTERM" : "SIGUSR1";
}

ExitCode code_of(int signal) {
  return signal == SIGINT ? ExitCode::interrupted : ExitCode::resumable;
}

/// What a signal's handler may do.
void say(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

extern "C" void on_interrupt(int signal) {
  if (caught != 0 && signal != SIGUSR1) {
    say("\n");
    say(name_of(signal));
    say(" once more: ended without saving; the last checkpoint stays\n");
    std::_Exit(128 + signal);
  }
  if (caught == 0) caught = signal;
}

std::string ending;  // what on_end says

extern "C" void on_end(int signal) {
  say("\ninterrupted by ");
  say(name_of(signal));
  say(" ");
  say(ending);
  say("\n");
  std::_Exit(static_cast<int>(code_of(signal)));
}

}  // namespace

CatchInterrupts::CatchInterrupts() {
  if (catching++ > 0) return;
  caught = 0;
  for (const int signal : kSignals) {
    std::signal(signal, on_interrupt);
  }
}
CatchInterrupts::~CatchInterrupts() {
  if (--catching > 0) return;
  for (const int signal : kSignals) {
    std::signal(signal, SIG_DFL);
  }
}
bool CatchInterrupts::requested() {
  return caught != 0;
}
ExitCode CatchInterrupts::exit_code() {
  return code_of(caught);
}
std::string_view CatchInterrupts::name() {
  return name_of(caught);
}

EndOnInterrupt::EndOnInterrupt(std::string_view what) {
  ending = what;
  for (const int signal : kSignals) {
    std::signal(signal, on_end);
  }
}
EndOnInterrupt::~EndOnInterrupt() {
  for (const int signal : kSignals) {
    std::signal(signal, SIG_DFL);
  }
}

}  // namespace farsight
