#include "train/ranks/liveness.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "core/check.h"
#include "core/clock.h"
#include "train/ranks/greeting.h"

namespace farsight {
namespace {

constexpr std::size_t kMostBytes = 1 << 16;  // of a message
constexpr double kMoment = 0.2;              // for a message that is there, or has room
constexpr int kLookMs = 100;
constexpr const char* kBeat = "beat ";  // and the steps
constexpr const char* kLoss = "loss ";  // and the sentence

void exit_saying(const std::string& sentence) {
  fmt::print(stderr, "{}\n", sentence);
  std::fflush(stderr);
  _exit(static_cast<int>(ExitCode::peer));
}

}  // namespace

Liveness::Liveness(int rank, int world, const std::vector<RankLink>& links, LivenessOptions options,
                   std::function<void()> on_loss)
    : rank_(rank), world_(world), options_(std::move(options)), on_loss_(std::move(on_loss)) {
  for (const RankLink& link : links)
    peers_.push_back({.link = &link, .heard = seconds_now()});
  if (!options_.end_process) options_.end_process = exit_saying;
  require(pipe2(wake_, O_CLOEXEC | O_NONBLOCK) == 0, ExitCode::storage, "pipe: no descriptor left");
  thread_ = std::thread([this] { run(); });
}

Liveness::~Liveness() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  wake();
  thread_.join();
  for (const int fd : wake_)
    ::close(fd);
}

void Liveness::wake() const {
  const char byte = 0;
  if (write(wake_[1], &byte, 1) < 0) return;  // full: it is about to wake
}

std::string Liveness::loss() const {
  const std::lock_guard lock(mutex_);
  return loss_;
}

std::string Liveness::loss_within(double seconds) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::duration<double>(seconds), [&] { return !loss_.empty(); });
  return loss_;
}

void Liveness::set_loss(const std::string& sentence) {
  {
    const std::lock_guard lock(mutex_);
    if (loss_.empty()) loss_ = sentence;
  }
  changed_.notify_all();
}

void Liveness::report(const std::string& sentence) {
  set_loss(sentence);
  wake();
}

void Liveness::stop(const std::string& sentence) {
  std::unique_lock lock(mutex_);
  ending_ = true;
  farewell_ =
      fmt::format("rank {} of {} ({}) stopped: {}", rank_, world_, process_name(), sentence);
  wake();
  const double longest = 1 + kMoment * static_cast<double>(peers_.size());
  changed_.wait_for(lock, std::chrono::duration<double>(longest),
                    [&] { return farewell_.empty() || over_; });
}

void Liveness::expect_ends() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
}

void Liveness::expect_silence() {
  const std::lock_guard lock(mutex_);
  alone_ = true;
}

void Liveness::also_watch(std::function<std::optional<std::string>()> question) {
  const std::lock_guard lock(mutex_);
  question_ = std::move(question);
}

std::string Liveness::name_of(const RankLink& link) const {
  return fmt::format("rank {} of {} ({})", link.rank, world_, link.who);
}

void Liveness::tell(const std::string& sentence) const {
  for (const Peer& peer : peers_)
    send_message(peer.link->control, kLoss + sentence.substr(0, kMostBytes / 2),
                 seconds_now() + kMoment);
}

void Liveness::send_beats() {
  const std::string beat = kBeat + std::to_string(steps_.load());
  for (const Peer& peer : peers_) {
    if (!peer.gone) send_message(peer.link->control, beat, seconds_now() + kMoment);
  }
}

std::string Liveness::behind() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> found;
  for (const Peer& peer : peers_) {
    if (!peer.gone && peer.steps < steps_) {
      found.push_back(fmt::format("{} is at step {}", name_of(*peer.link), peer.steps));
    }
  }
  return fmt::format("{}", fmt::join(found, ", "));
}

/// Something can be read from the peer, or it is gone.
void Liveness::look(Peer& peer) {
  std::string text;
  const Transfer received =
      receive_message(peer.link->control, text, kMostBytes, seconds_now() + kMoment);
  peer.heard = seconds_now();
  if (received == Transfer::late) return;
  if (received == Transfer::done && text.starts_with(kLoss)) {
    set_loss(printable(std::string_view(text).substr(std::string_view(kLoss).size())));
    return;
  }
  const std::lock_guard lock(mutex_);
  if (received == Transfer::closed) {
    peer.gone = true;
    if (!ending_ && loss_.empty()) {
      loss_ = fmt::format("{} was lost: its connection closed", name_of(*peer.link));
      changed_.notify_all();
    }
    return;
  }
  if (text.starts_with(kBeat)) {
    const char* digits = text.c_str() + std::string_view(kBeat).size();
    std::from_chars(digits, text.c_str() + text.size(), peer.steps);
  }
}

void Liveness::look_for_silence() {
  const std::lock_guard lock(mutex_);
  for (const Peer& peer : peers_) {
    const double silence = seconds_now() - peer.heard;
    if (peer.gone || alone_ || !loss_.empty() || silence < options_.silence_seconds) continue;
    loss_ = fmt::format(
        "{} was lost: it has not been heard of for {:.0f} s; its host is gone, or the process "
        "is stopped",
        name_of(*peer.link), silence);
    changed_.notify_all();
  }
}

void Liveness::say_farewell() {
  std::string farewell;
  {
    const std::lock_guard lock(mutex_);
    farewell = farewell_;
  }
  if (farewell.empty()) return;
  tell(farewell);
  {
    const std::lock_guard lock(mutex_);
    farewell_.clear();
  }
  changed_.notify_all();
}

void Liveness::run() {
  watch();
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  const std::string found = loss();
  if (!found.empty()) handle_loss(found);
}

/// Until there is a loss, or nobody is to be missed any more.
void Liveness::watch() {
  double next_beat = seconds_now();
  while (true) {
    std::vector<pollfd> entries{{.fd = wake_[0], .events = POLLIN, .revents = 0}};
    for (const Peer& peer : peers_) {
      entries.push_back(
          {.fd = peer.gone ? -1 : peer.link->control.fd(), .events = POLLIN, .revents = 0});
    }
    ::poll(entries.data(), entries.size(), kLookMs);
    if (entries[0].revents != 0) {
      char bytes[64];
      while (read(wake_[0], bytes, sizeof bytes) > 0) {
      }
    }
    for (std::size_t i = 0; i < peers_.size(); i++) {
      if (entries[i + 1].revents != 0) look(peers_[i]);
    }
    say_farewell();
    if (seconds_now() >= next_beat) {
      send_beats();
      next_beat = seconds_now() + options_.beat_seconds;
    }
    std::function<std::optional<std::string>()> question;
    {
      const std::lock_guard lock(mutex_);
      if (closing_) return;
      question = question_;
    }
    look_for_silence();
    if (question) {
      if (const std::optional<std::string> failed = question()) set_loss(*failed);
    }
    if (!loss().empty()) return;
  }
}

void Liveness::handle_loss(const std::string& sentence) {
  tell(sentence);
  if (on_loss_) on_loss_();
  const auto ends_within = [&](double seconds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::duration<double>(seconds),
                             [&] { return closing_; });
  };
  bool ended = ends_within(options_.grace_seconds);
  constexpr double kAMoment = 0.02;
  const double longest = seconds_now() + options_.hold_seconds;
  while (!ended && held_.use_count() > 1 && seconds_now() < longest)
    ended = ends_within(kAMoment);
  if (!ended) options_.end_process(sentence);
}

}  // namespace farsight
