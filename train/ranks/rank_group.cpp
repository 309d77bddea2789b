#include "train/ranks/rank_group.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

#include "core/check.h"
#include "core/clock.h"
#include "train/ranks/greeting.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr int kForwarded[] = {SIGINT, SIGTERM, SIGUSR1};
volatile std::sig_atomic_t pending[65] = {};

extern "C" void on_signal(int signal) {
  pending[signal] = pending[signal] + 1;
}

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

/// A program without a path lies beside this one, or else in PATH.
std::string found_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  std::error_code none;
  const fs::path beside = fs::read_symlink("/proc/self/exe", none).parent_path() / name;
  return fs::exists(beside, none) ? beside.string() : name;
}

}  // namespace

Forwarding::Forwarding() {
  for (const int signal : kForwarded) {
    pending[signal] = 0;
    std::signal(signal, on_signal);
  }
}

Forwarding::~Forwarding() {
  for (const int signal : kForwarded)
    std::signal(signal, SIG_DFL);
}

int Forwarding::next() {
  for (const int signal : kForwarded) {
    if (pending[signal] == 0) continue;
    pending[signal] = pending[signal] - 1;
    any_ = true;
    return signal;
  }
  return 0;
}

struct RankGroup::Rank {
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

RankGroup::RankGroup(const LaunchSpec& spec, const std::string& job) : spec_(spec), job_(job) {
  int error = 0;
  port_ = reserve_port(error);
  require(static_cast<bool>(port_), ExitCode::peer,
          "farsight launch: no port for the ranks to meet at: {}", std::strerror(error));
  std::vector<std::string> words = spec.words;
  words.front() = found_program(words.front());
  const std::string world = std::to_string(spec.nproc), port = std::to_string(port_of(port_));
  for (int rank = 0; rank < spec.nproc; rank++) {
    const std::string number = std::to_string(rank);
    const auto stream = [&] { return rank == 0 ? ChildStream::inherited() : ChildStream::pipe(); };
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

RankGroup::~RankGroup() = default;

int RankGroup::run(Forwarding& forwarding) {
  while (running() > 0) {
    wait_a_moment();
    for (int signal = forwarding.next(); signal != 0; signal = forwarding.next())
      send(signal);
    for (std::size_t i = 0; i < ranks_.size(); i++)
      look(i);
    tell_meeting();
    const bool late = failed_at_ && seconds_now() - *failed_at_ > spec_.grace_seconds;
    if (late) stop_all();
  }
  return code_;
}

void RankGroup::send(int signal) const {
  for (const auto& rank : ranks_) {
    if (!rank->end) rank->process.send(signal);
  }
}

std::int64_t RankGroup::running() const {
  return std::count_if(ranks_.begin(), ranks_.end(), [](const auto& rank) { return !rank->end; });
}

void RankGroup::wait_a_moment() const {
  std::vector<pollfd> entries;
  for (const auto& rank : ranks_) {
    for (const int fd : {rank->process.output(), rank->process.errors()}) {
      if (!rank->end && fd >= 0) entries.push_back({.fd = fd, .events = POLLIN, .revents = 0});
    }
  }
  constexpr int kMomentMs = 20;
  ::poll(entries.data(), entries.size(), kMomentMs);
}

void RankGroup::look(std::size_t i) {
  Rank& rank = *ranks_[i];
  if (rank.end) return;
  rank.end = rank.process.poll();
  rank.pass_on(rank.end.has_value());
  if (!rank.end || rank.end->well()) return;
  if (!failed_at_) {
    failed_at_ = seconds_now();
    failed_ = i;
  }
  constexpr int kLost = static_cast<int>(ExitCode::peer);
  const int code = rank.end->signal != 0 ? kLost : rank.end->exit_code;
  // Who lost another is not who failed, whichever is noticed first.
  if (code_ == 0 || (code_ == kLost && !by_signal_ && code != kLost)) code_ = code;
  if (rank.end->signal == 0 || stopping_) return;
  by_signal_ = true;
  code_ = kLost;
  fmt::print(stderr, "farsight launch: rank {} was {}\n", i, rank.end->text());
}

/// The others may be waiting for it where they meet, and notice nothing of a rank that never came.
void RankGroup::tell_meeting() {
  if (!failed_at_ || seconds_now() < next_word_) return;
  constexpr double kAgain = 0.2, kMoment = 0.05;
  next_word_ = seconds_now() + kAgain;
  std::string nobody;
  const Socket socket = connect_to("127.0.0.1", port_of(port_), seconds_now() + kMoment, nobody);
  if (!socket) return;  // they have met, or rank 0 has not begun to listen
  const Greeting word{.kind = "gone",
                      .job = job_,
                      .rank = static_cast<int>(failed_),
                      .world = spec_.nproc,
                      .who = ranks_[failed_]->end->text()};
  send_message(socket, text_of(word), seconds_now() + kMoment);
}

void RankGroup::stop_all() {
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

}  // namespace farsight
