// Notices that a rank has died, hangs, or has ended for a reason of its own, and says so on all ranks.
//
// One thread a process looks at the control connections. A process that ends closes its own, which
// the other side sees within a millisecond on one host; a host that vanishes is silent, which is seen
// after `silence_seconds`. Rank 0 passes on what it learns. The loss is one sentence, the first that
// a rank hears of; after it collectives throw, and a process that has not ended `grace_seconds` later
// is ended: it may be deep in a forward pass, or wait for a GPU. Only a checkpoint that is being
// written is finished first.
//
// The thread alone reads and writes the connections; the others leave with it what is to be said.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "train/ranks/rendezvous.h"

namespace farsight {

struct LivenessOptions {
  double beat_seconds = 1;      ///< between signs of life
  double silence_seconds = 10;  ///< without one: the host has vanished, or the process is stopped
  double grace_seconds = 0.5;   ///< for the other threads to end the process themselves
  double hold_seconds = 60;     ///< more, at most, while somebody holds it
  /// Ends it otherwise: prints the sentence and exits with 8, unless a test has other plans.
  std::function<void(const std::string& sentence)> end_process = {};
};

class Liveness {
 public:
  /// `links` stay where they are and are read by the thread; `on_loss` is called on it, once.
  Liveness(int rank, int world, const std::vector<RankLink>& links, LivenessOptions options,
           std::function<void()> on_loss);
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;
  /// Looks away: from here on nobody is missed.
  ~Liveness();

  /// What was lost; empty: nothing so far.
  std::string loss() const;
  /// The same, after waiting for it a moment.
  std::string loss_within(double seconds) const;
  /// This rank has found out that another is lost or hangs: a loss for all.
  void report(const std::string& sentence);
  /// This rank ends because of `sentence`: a loss for all the others. Returns when they were told.
  void stop(const std::string& sentence);
  /// As long as what it returns lives, this process is not ended after a loss.
  std::shared_ptr<void> hold() { return held_; }
  /// A closed connection is no loss any more: all ranks are about to end. Silence still is one.
  void expect_ends();
  /// Nor is silence: this rank waits for nobody any more.
  void expect_silence();

  /// How far this rank is, for those who wait for it: goes along with the signs of life.
  void progress(std::int64_t steps) { steps_ = steps; }
  /// Whoever is known to be behind this rank: "rank 2 of 4 (gpu7, process 4711) is at step 17"; empty:
  /// nobody. Rank 0 knows all, the others rank 0.
  std::string behind() const;

  /// Asked some times a second from the thread: a sentence when something has failed.
  void also_watch(std::function<std::optional<std::string>()> question);

  /// "rank 2 of 4 (gpu7, process 4711)"
  std::string name_of(const RankLink& link) const;

 private:
  struct Peer {
    const RankLink* link = nullptr;
    double heard = 0;
    bool gone = false;
    std::int64_t steps = 0;
  };

  void run();
  void watch();
  void look(Peer& peer);
  void look_for_silence();
  void send_beats();
  void say_farewell();
  void handle_loss(const std::string& sentence);
  void set_loss(const std::string& sentence);
  void tell(const std::string& sentence) const;
  void wake() const;

  int rank_, world_;
  std::vector<Peer> peers_;
  LivenessOptions options_;
  std::function<void()> on_loss_;
  int wake_[2] = {-1, -1};  // a pipe
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::string loss_;
  std::string farewell_;  // to be said by the thread
  bool ending_ = false, alone_ = false, closing_ = false;
  bool over_ = false;  // the thread has looked for the last time
  std::shared_ptr<void> held_ = std::make_shared<char>();
  std::function<std::optional<std::string>()> question_;
  std::atomic<std::int64_t> steps_ = 0;
  std::thread thread_;
};

}  // namespace farsight
