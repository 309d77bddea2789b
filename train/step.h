// One training step: forward and backward of a global batch in micro-batches, clip, AdamW.
//
//   TrainStep step(model, optimizer, GraphUse::automatic);
//   step.launch(batch, lr);              // on a GPU: queued, and the host goes on
//   step.launch(next_batch, next_lr);
//   StepResult first = step.finish();    // of the first one; the second is being computed
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "core/late_copies.h"
#include "models/model.h"
#include "train/optimizer.h"
#include "train/ranks/gradient_sync.h"
#include "train/ranks/shard_tree.h"
#include "train/settings.h"
#include "train/step_inputs.h"

namespace farsight {

struct StepResult {
  double loss = 0;           ///< mean over the labels of the global batch
  std::int64_t labels = 0;   ///< of this rank's share; TrainStep: of all ranks
  std::int64_t right = 0;    ///< of them, predicted by the argmax
  double gradient_norm = 0;  ///< before clipping; TrainStep only
  double votes = 0;          ///< of all ranks; TrainStep only
  double exposed_ms = 0;  ///< waited for other ranks' gradients after the backward; TrainStep only
  double accuracy() const;  ///< percent
};

/// What a step has to do with other ranks and logical shards; nothing by itself.
struct StepPeers {
  GradientSync* sync = nullptr;  ///< the other ranks
  int shards = 1;  ///< of a batch, that this rank computes and sums in a tree (train.reproducible)
};

class TrainStep {
 public:
  TrainStep(const Model& model, AdamW& optimizer, GraphUse graphs, StepPeers peers = {});
  ~TrainStep();
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  /// Queues a step. At most LateCopies::kMost may be under way.
  void launch(const GlobalBatch& batch, double lr) { launch(std::span(&batch, 1), lr); }
  /// `shards`: StepPeers::shards of them. `vote`: what this rank has to say; finish() gives the sum.
  void launch(std::span<const GlobalBatch> shards, double lr, double vote = 0);
  /// What the oldest step under way gave; waits for it. After a gradient that is not finite no step
  /// moves the parameters any more.
  StepResult finish();
  /// Called between whatever a step reads of the parameters and what changes them, or earlier.
  void before_update(std::function<void()> call) { before_update_ = std::move(call); }
  int under_way() const { return results_.under_way(); }
  /// Steps that were started as a graph.
  std::int64_t graph_starts() const { return graph_starts_; }

 private:
  /// What is known of steps of one shape.
  struct Known {
    int seen = 0;
    bool worth_it = false;  ///< the host took longer to ask for the step than the GPU to compute it
    StepInputs inputs;      ///< of the graph: it reads from these addresses
    void* graph = nullptr;
  };

  StepInputs inputs(const GlobalBatch& batch) const;
  void run(const StepInputs& inputs);
  void run_shards(std::span<const GlobalBatch> shards, double vote);
  void run_known(Known& known, const GlobalBatch& batch);
  void measure(Known& known, const StepInputs& inputs);
  void capture(Known& known, const GlobalBatch& batch);

  const Model& model_;
  AdamW& optimizer_;
  GraphUse graphs_;
  std::function<void()> before_update_ = [] {};
  bool capturing_ = false;  ///< a graph, which waits for nothing outside of it
  StepPeers peers_;
  std::optional<ShardTree> tree_;
  Tensor said_;   // [3] f64: tally and vote, what ranks sum
  Tensor tally_;  // [2] f64: loss summed over labels, labels predicted right
  LateCopies results_;
  std::deque<std::int64_t> launched_;  // labels of all ranks
  std::map<StepShape, Known> known_;
  std::int64_t graph_starts_ = 0;
};

/// Fills the model's gradients with those of the batch's mean loss, and waits. On the meta device it
/// only allocates.
StepResult forward_backward(const Model& model, const GlobalBatch& batch);

/// Runs the same step again, looking at every value as it is made, and says where the first one
/// that is not finite appears: "layer 3, selective_scan". Empty: none does.
std::string first_not_finite(const Model& model, const GlobalBatch& batch);

}  // namespace farsight
