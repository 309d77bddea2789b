// The processes of one attempt of `farsight launch` (launch.h), from their start to their end.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/child_process.h"
#include "train/ranks/launch.h"
#include "train/ranks/socket.h"

namespace farsight {

/// SIGINT, SIGTERM and SIGUSR1 are for the ranks while it is alive.
class Forwarding {
 public:
  Forwarding();
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;
  ~Forwarding();
  /// One that has come since the last call; 0: none.
  int next();
  /// Whether one was passed on: somebody wants the end.
  bool any() const { return any_; }

 private:
  bool any_ = false;
};

class RankGroup {
 public:
  /// Starts all. `job` is theirs alone: ranks of another attempt do not meet them.
  RankGroup(const LaunchSpec& spec, const std::string& job);
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;
  ~RankGroup();

  /// Until the last has ended. Returns the exit code of the attempt.
  int run(Forwarding& forwarding);

 private:
  struct Rank;

  std::int64_t running() const;
  void send(int signal) const;
  void wait_a_moment() const;
  void look(std::size_t i);
  void tell_meeting();
  void stop_all();

  const LaunchSpec& spec_;
  std::string job_;
  Socket port_;  // reserved for rank 0
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::optional<double> failed_at_;
  std::size_t failed_ = 0;  // the first rank that has
  double next_word_ = 0;    // seconds_now()
  int code_ = 0;
  bool by_signal_ = false, stopping_ = false;
};

}  // namespace farsight
