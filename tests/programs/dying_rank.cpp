// bin/mamba, as one rank of several, that ends itself or another at a moment that a test chooses:
//
//   dying_rank MOMENT NTH SIGNAL VICTIM FOLDER train ...
//
//   MOMENT   none        like mamba
//            init        after the NTH thing that it has said while the ranks meet
//            forward     after the NTH operation of a forward pass
//            all-reduce  in the middle of the NTH piece of a gradient that it sends or receives
//            save        before the NTH system call of the saving of checkpoints (rank 0 alone saves)
//   SIGNAL   to the process of rank VICTIM; SIGUSR2 stands for exit(0)
//   FOLDER   has a file `pid.RANK` of each, and afterwards `died`: seconds_now() at that moment
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "core/clock.h"
#include "core/file_calls.h"
#include "core/trace.h"
#include "train/driver.h"
#include "train/ranks/socket.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

struct Plan {
  std::string moment;
  int nth = 0, signal = 0;
  std::string victim;
  fs::path folder;
};
Plan plan;

std::atomic<int> passed = 0;       // of the moments that were asked for
std::atomic<bool> trains = false;  // the first forward pass has begun
std::atomic<bool> saves = false;

int number_in(std::string_view word) {
  int number = -1;
  std::from_chars(word.data(), word.data() + word.size(), number);
  return number;
}

/// Once the NTH time has come; what is done to another goes on here.
bool is_time() {
  return passed++ == plan.nth;
}

void strike() {
  int victim = 0;
  std::ifstream(plan.folder / ("pid." + plan.victim)) >> victim;
  {
    std::ofstream died(plan.folder / "died");
    died.precision(17);
    died << seconds_now() << "\n";
  }
  ::kill(victim, plan.signal);
  while (victim == getpid())
    pause();
}

void after_operation(std::string_view, Pass pass, const LeastWork&) {
  trains = true;
  if (plan.moment == "forward" && pass == Pass::forward && is_time()) strike();
}

/// A piece of a gradient: what else the ranks say to each other while they train is shorter.
bool is_piece(std::size_t bytes) {
  constexpr std::size_t kLeast = 4096;
  return plan.moment == "all-reduce" && trains && bytes >= kLeast;
}

void watch_sockets() {
  SocketCalls& calls = socket_calls();
  calls.send = [real = calls.send](int fd, const void* bytes, std::size_t count) {
    const bool now = is_piece(count) && is_time();
    const ssize_t sent = real(fd, bytes, now ? count / 2 : count);
    if (now || (plan.moment == "init" && !trains && is_time())) strike();
    return sent;
  };
  calls.recv = [real = calls.recv](int fd, void* bytes, std::size_t count) {
    if (!is_piece(count)) return real(fd, bytes, count);
    const ssize_t received = real(fd, bytes, count / 2);
    if (received > 0 && is_time()) strike();
    return received;
  };
}

void before_file_call() {
  if (saves && is_time()) strike();
}

void watch_files() {
  FileCalls& calls = file_calls();
  calls.mkdir = [real = calls.mkdir](const char* path, mode_t mode) {
    if (std::string_view(path).ends_with(".inprogress")) saves = true;
    before_file_call();
    return real(path, mode);
  };
  calls.open = [real = calls.open](const char* path, int flags, mode_t mode) {
    before_file_call();
    return real(path, flags, mode);
  };
  calls.write = [real = calls.write](int fd, const void* bytes, std::size_t count) {
    before_file_call();
    return real(fd, bytes, count);
  };
  calls.fsync = [real = calls.fsync](int fd) {
    before_file_call();
    return real(fd);
  };
  calls.close = [real = calls.close](int fd) {
    before_file_call();
    return real(fd);
  };
  calls.rename = [real = calls.rename](const char* from, const char* to) {
    before_file_call();
    const int result = real(from, to);
    if (std::string_view(to).ends_with("/latest")) saves = false;  // the last thing of a save
    return result;
  };
}

void prepare(char** words) {
  plan = {.moment = words[1],
          .nth = number_in(words[2]),
          .signal = number_in(words[3]),
          .victim = words[4],
          .folder = words[5]};
  constexpr rlimit kNone{0, 0};
  setrlimit(RLIMIT_CORE, &kNone);
  ::signal(SIGSEGV, SIG_DFL);  // also where a sanitizer would like to know
  ::signal(SIGUSR2, [](int) { _exit(0); });
  const char* rank = std::getenv("RANK");
  const fs::path own = plan.folder / (std::string("pid.") + (rank == nullptr ? "0" : rank));
  std::ofstream(own.string() + ".new") << getpid() << "\n";
  fs::rename(own.string() + ".new", own);
  if (plan.moment == "none") return;
  operation_done = after_operation;
  watch_sockets();
  if (plan.moment == "save") watch_files();
}

}  // namespace
}  // namespace farsight

int main(int argc, char** argv) {
  constexpr int kOwn = 5;
  if (argc <= kOwn) return 2;
  farsight::prepare(argv);
  std::vector<const char*> words = {argv[0]};
  words.insert(words.end(), argv + kOwn + 1, argv + argc);
  return farsight::run_program("mamba", static_cast<int>(words.size()), words.data());
}
