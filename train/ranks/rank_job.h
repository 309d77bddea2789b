// This process as one rank of a training run: everything that the trainer and its driver ask of the
// others. A run of one process has none, and pays nothing.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "core/check.h"
#include "core/device_ranks.h"
#include "data/batches.h"
#include "models/model.h"
#include "train/ranks/gradient_sync.h"
#include "train/ranks/ranks.h"
#include "train/settings.h"

namespace farsight {

class RankJob {
 public:
  /// Meets the other ranks, if a launcher started this process as one of several, and chooses this
  /// rank's GPU; null for a process that is alone. Throws Error(usage, peer, device).
  static std::unique_ptr<RankJob> join(const Settings& settings);

  /// `ranks`: of a test, with threads for processes.
  RankJob(std::unique_ptr<Ranks> ranks, const Settings& settings);
  RankJob(const RankJob&) = delete;
  RankJob& operator=(const RankJob&) = delete;

  int rank() const { return ranks_->rank(); }
  int world() const { return ranks_->world(); }
  /// The one that writes.
  bool first() const { return ranks_->first(); }
  Ranks& ranks() { return *ranks_; }
  /// "rank 1 of 4"
  std::string name() const;

  /// Once, after select_gpu(): what the GPUs of all ranks compute together. Throws Error(device) when
  /// two ranks have the same one.
  DeviceRanks& connect_gpus();
  /// Connects the GPUs, if the model is on one, and follows its gradients. Neither this nor the model
  /// may end before what it returns.
  std::unique_ptr<GradientSync> follow(const Model& model);

  /// Rank 0's text, on all. A rank may be minutes late.
  std::string share(const std::string& text);
  /// Throws Error(storage) on a rank that does not see the folder of the run, which rank 0 has made.
  void require_seen(const std::filesystem::path& folder) const;
  /// All wait until all are here, which may take the first one long: it writes a checkpoint.
  void wait_for_all();
  /// Throws Error(peer) naming the ranks whose parameters are not the first one's bits. Nothing may be
  /// under way. What is compared is a digest of all bits, made where they are (ops/bit_digest.h).
  void compare_parameters(const Model& model, std::int64_t step);
  /// All ranks' texts, joined by "; ", each with its rank, empty ones left out; on all ranks.
  std::string collect(const std::string& text);

  /// Whether this rank is the first that `collected` names.
  bool leads(const std::string& collected) const;
  /// Rank 0's numbers, on all.
  void agree(std::span<double> numbers);

  /// Step `step` (from 1) was launched; one is done, and others are under way or not: while one is, the time of a
  /// collective runs.
  void step_launched(std::int64_t step);
  void step_done(bool more);

  /// After the last step, or where all ranks end alike: nobody is missed from here on.
  void leave();
  /// This rank ends because of `error`; the others hear of it, unless it is itself that a rank was
  /// lost. Throws Error(peer) with the loss where there is one: what went wrong here followed from it.
  void stop(const Error& error);
  /// The same of what is no Error.
  void stop(const std::string& sentence);

 private:
  /// What the monitor's thread looks at, which may outlast this for a moment.
  struct Watched {
    std::shared_ptr<DeviceRanks> gpus;
    std::string name{};
    double timeout = 0;
    Liveness* liveness = nullptr;           ///< of the ranks, whose thread this is
    double failed_since = 0;                ///< seconds_now(); of the monitor's thread
    std::atomic<double> waiting_since = 0;  ///< seconds_now(); 0: nothing is under way
    std::optional<std::string> look();
  };

  std::unique_ptr<Ranks> ranks_;
  Settings settings_;
  std::shared_ptr<Watched> watched_;
};

}  // namespace farsight
