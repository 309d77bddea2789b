#include "train/ranks/launch.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <optional>
#include <random>

#include "core/check.h"
#include "core/child_process.h"
#include "core/clock.h"
#include "core/device_calls.h"
#include "core/device_ranks.h"
#include "train/ranks/socket.h"
#include "train/words.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGUSR1};
volatile std::sig_atomic_t pending[65] = {};

extern "C" void on_signal(int signal) {
  pending[signal] = pending[signal] + 1;
}

/// Signals go to the ranks while it is alive.
class Forwarding {
 public:
  Forwarding() {
    for (const int signal : kForwarded) {
      pending[signal] = 0;
      std::signal(signal, on_signal);
    }
  }
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;
  ~Forwarding() {
    for (const int signal : kForwarded)
      std::signal(signal, SIG_DFL);
  }
  /// One that has come since the last call; 0: none.
  int next() {
    for (const int signal : kForwarded) {
      if (pending[signal] == 0) continue;
      pending[signal] = pending[signal] - 1;
      any_ = true;
      return signal;
    }
    return 0;
  }
  /// Whether one was passed on: somebody wants the end.
  bool any() const { return any_; }

 private:
  bool any_ = false;
};

/// Passes on whole lines with the rank before them.
class Prefixed {
 public:
  Prefixed(int rank, int fd) : prefix_(fmt::format("[rank {}] ", rank)), fd_(fd) {}
  /// `all`: also a last line without an end.
  void flush(bool all) {
    while (true) {
      const std::size_t end = text.find_first_of("\n\r");
      if (end == std::string::npos && (!all || text.empty())) return;
      std::string line = prefix_ + text.substr(0, end) + "\n";
      text.erase(0, end == std::string::npos ? end : end + 1);
      std::string_view rest = line;
      while (!rest.empty()) {
        const ssize_t written = write(fd_, rest.data(), rest.size());
        if (written <= 0 && errno != EINTR) return;
        if (written > 0) rest.remove_prefix(static_cast<std::size_t>(written));
      }
    }
  }
  std::string text;

 private:
  std::string prefix_;
  int fd_;
};

struct Rank {
  Rank(int number, const ChildSpec& spec)
      : process(spec), output(number, STDOUT_FILENO), errors(number, STDERR_FILENO) {}
  void pass_on(bool all) {
    if (process.output() >= 0) process.read_output(output.text);
    if (process.errors() >= 0) process.read_errors(errors.text);
    output.flush(all);
    errors.flush(all);
  }

  ChildProcess process;
  Prefixed output, errors;
  std::optional<ChildEnd> end{};
};

std::string new_job() {
  std::random_device random;
  return fmt::format("launch {} {:08x}{:08x}", getpid(), random(), random());
}

int free_port() {
  int error = 0;
  return port_of(listen_at(0, true, error));
}

/// A program without a path lies beside this one, or else in PATH.
std::string found_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  std::error_code none;
  const fs::path beside = fs::read_symlink("/proc/self/exe", none).parent_path() / name;
  return fs::exists(beside, none) ? beside.string() : name;
}

/// What a lost attempt has saved is what the next one goes on from.
void go_on(std::vector<std::string>& words) {
  std::erase(words, "--overwrite");
  std::ranges::replace(words, "--resume=never", "--resume=auto");
  for (std::size_t i = 1; i < words.size(); i++) {
    if (words[i - 1] == "--resume" && words[i] == "never") words[i] = "auto";
  }
}

/// One attempt: all ranks from start to end.
class Group {
 public:
  Group(const LaunchSpec& spec, int attempt) : spec_(spec) {
    std::vector<std::string> words = spec.words;
    words.front() = found_program(words.front());
    if (attempt > 0) go_on(words);
    const std::string world = std::to_string(spec.nproc), port = std::to_string(free_port());
    const std::string job = new_job();
    for (int rank = 0; rank < spec.nproc; rank++) {
      const std::string number = std::to_string(rank);
      const auto stream = [&] {
        return rank == 0 ? ChildStream::inherited() : ChildStream::pipe();
      };
      ranks_.push_back(
          std::make_unique<Rank>(rank, ChildSpec{.words = words,
                                                 .environment = {{"RANK", number},
                                                                 {"WORLD_SIZE", world},
                                                                 {"LOCAL_RANK", number},
                                                                 {"LOCAL_WORLD_SIZE", world},
                                                                 {"MASTER_ADDR", "127.0.0.1"},
                                                                 {"MASTER_PORT", port},
                                                                 {"FARSIGHT_JOB", job}},
                                                 .output = stream(),
                                                 .errors = stream()}));
    }
  }

  /// The exit code of the attempt.
  int run(Forwarding& forwarding) {
    while (running() > 0) {
      wait_a_moment();
      for (int signal = forwarding.next(); signal != 0; signal = forwarding.next())
        send(signal);
      for (std::size_t i = 0; i < ranks_.size(); i++)
        look(i);
      const bool late = failed_at_ && seconds_now() - *failed_at_ > spec_.grace_seconds;
      if (late) stop_all();
    }
    return code_;
  }

  void send(int signal) const {
    for (const auto& rank : ranks_) {
      if (!rank->end) rank->process.send(signal);
    }
  }

 private:
  std::int64_t running() const {
    return std::count_if(ranks_.begin(), ranks_.end(), [](const auto& rank) { return !rank->end; });
  }

  void wait_a_moment() const {
    std::vector<pollfd> entries;
    for (const auto& rank : ranks_) {
      for (const int fd : {rank->process.output(), rank->process.errors()}) {
        if (!rank->end && fd >= 0) entries.push_back({.fd = fd, .events = POLLIN, .revents = 0});
      }
    }
    constexpr int kMomentMs = 20;
    ::poll(entries.data(), entries.size(), kMomentMs);
  }

  void look(std::size_t i) {
    Rank& rank = *ranks_[i];
    if (rank.end) return;
    rank.end = rank.process.poll();
    rank.pass_on(rank.end.has_value());
    if (!rank.end || rank.end->well()) return;
    if (!failed_at_) failed_at_ = seconds_now();
    constexpr int kLost = static_cast<int>(ExitCode::peer);
    const int code = rank.end->signal != 0 ? kLost : rank.end->exit_code;
    // Who lost another is not who failed, whichever is noticed first.
    if (code_ == 0 || (code_ == kLost && !by_signal_ && code != kLost)) code_ = code;
    if (rank.end->signal == 0 || stopping_) return;
    by_signal_ = true;
    code_ = kLost;
    fmt::print(stderr, "farsight launch: rank {} was {}\n", i, rank.end->text());
  }

  void stop_all() {
    stopping_ = true;
    for (const auto& rank : ranks_) {
      if (!rank->end) rank->process.send_to_group(SIGTERM);
    }
    for (const auto& rank : ranks_) {
      if (rank->end) continue;
      rank->end = rank->process.stop(1);
      rank->pass_on(true);
    }
  }

  const LaunchSpec& spec_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::optional<double> failed_at_;
  int code_ = 0;
  bool by_signal_ = false, stopping_ = false;
};

/// Whether another attempt may end otherwise: not after a mistake in the settings, a divergence, or
/// when somebody wanted the end.
bool worth_restarting(int code) {
  constexpr ExitCode kLasting[] = {ExitCode::ok,        ExitCode::usage,      ExitCode::data,
                                   ExitCode::corrupt,   ExitCode::diverged,   ExitCode::memory,
                                   ExitCode::resumable, ExitCode::interrupted};
  return std::none_of(std::begin(kLasting), std::end(kLasting),
                      [&](ExitCode lasting) { return static_cast<int>(lasting) == code; });
}

int number_of(const Words& given, const char* flag, int least, int most) {
  const std::string text = *given.value(flag);
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  require(
      error == std::errc() && end == text.data() + text.size() && number >= least && number <= most,
      ExitCode::usage, "--{} must be a number from {} to {}, got '{}'", flag, least, most, text);
  return number;
}

void require_gpus(int wanted) {
  const int count = gpu_count();
  std::string why;
  if (count == 0) {  // where there are some, nothing here touches them
    gpu_available(&why);
    fail(ExitCode::device, "--gpus {}: {}; --nproc {} trains in processes on the CPU", wanted, why,
         wanted);
  }
  require(wanted <= count, ExitCode::device, "--gpus {}: this machine shows {} GPU{}", wanted,
          count, count == 1 ? "" : "s");
  require(wanted == 1 || nccl_available(&why), ExitCode::device, "--gpus {}: {}", wanted, why);
}

}  // namespace

int launch(const LaunchSpec& spec) {
  Forwarding forwarding;
  for (int attempt = 0;; attempt++) {
    const int code = Group(spec, attempt).run(forwarding);
    // A rank that was not ready yet to save is ended by the signal, and would look as lost.
    if (forwarding.any() || attempt >= spec.max_restarts || !worth_restarting(code)) return code;
    fmt::print(stderr, "farsight launch: exit code {}; all ranks start again (restart {} of {})\n",
               code, attempt + 1, spec.max_restarts);
  }
}

int run_launch(std::span<const std::string> words) {
  constexpr VerbOption kOptions[] = {
      {"nproc", "N", "processes to start; what they compute on is their own affair"},
      {"gpus", "N", "the same, one for each of N GPUs, which must be there"},
      {"max-restarts", "K", "start all again, at most K times, when one was lost"},
      {"help", "", "print this text and stop"}};
  const auto dashes = std::find(words.begin(), words.end(), "--");
  const Words given("farsight launch", kOptions, {words.begin(), dashes},
                    Words::With::options_alone);
  given.refuse_unknown();
  if (given.has("help")) {
    fmt::print("{}\nAfter -- stands the program: farsight launch --nproc 2 -- mamba train\n",
               verb_help("farsight", "launch", kLaunchHelp, kOptions));
    return 0;
  }
  LaunchSpec spec;
  require(dashes != words.end() && dashes + 1 != words.end(), ExitCode::usage,
          "farsight launch: no program was given; for example: farsight launch --nproc 2 -- mamba "
          "train");
  spec.words.assign(dashes + 1, words.end());
  require(given.has("nproc") != given.has("gpus"), ExitCode::usage,
          "farsight launch: either --nproc or --gpus says how many processes to start");
  const char* count = given.has("gpus") ? "gpus" : "nproc";
  constexpr int kMostProcesses = 1024;
  spec.nproc = number_of(given, count, 1, kMostProcesses);
  if (given.has("max-restarts")) spec.max_restarts = number_of(given, "max-restarts", 0, 1000000);
  if (given.has("gpus")) require_gpus(spec.nproc);
  return launch(spec);
}

}  // namespace farsight
