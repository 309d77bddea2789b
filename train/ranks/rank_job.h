// This process as one rank of a training run: everything that the trainer and its driver ask of the
// others. A run of one process has none, and pays nothing.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

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
  ~RankJob();

  int rank() const { return ranks_->rank(); }
  int world() const { return ranks_->world(); }
  /// The one that writes.
  bool first() const { return ranks_->first(); }
  Ranks& ranks() { return *ranks_; }
  /// "rank 1 of 4"
  std::string name() const;

  /// After the model was made: connects the GPUs, if it is on one, and follows its gradients.
  void follow(const Model& model);
  GradientSync& sync() { return *sync_; }

  /// Rank 0's text, on all. A rank may be minutes late.
  std::string share(const std::string& text);
  /// All wait until all are here, which may take the first one long: it writes a checkpoint.
  void wait_for_all();
  /// Throws Error(peer) naming the ranks whose parameters are not the first one's bits. Nothing may be
  /// under way.
  void compare_parameters(const Model& model, std::int64_t step);
  /// All ranks' texts, joined by "; ", each with its rank, empty ones left out; on all ranks.
  std::string collect(const std::string& text);

  /// A step was launched; all that were are done. Between the two the time of a collective runs.
  void step_launched();
  void steps_done();

  /// After the last step, or where all ranks end alike: nobody is missed from here on.
  void leave();
  /// This rank ends because of `error`; the others hear of it.
  void stop(const std::string& sentence);

 private:
  void connect_gpus();
  std::optional<std::string> look() const;

  std::unique_ptr<Ranks> ranks_;
  Settings settings_;
  std::unique_ptr<DeviceRanks> gpus_;
  std::unique_ptr<GradientSync> sync_;
  std::atomic<double> waiting_since_ = 0;  // seconds_now(); 0: nothing is under way
};

}  // namespace farsight
