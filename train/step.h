// One training step: forward and backward of a global batch in micro-batches, clip, AdamW.
//
//   TrainStep step(model, optimizer, GraphUse::automatic);
//   step.launch(batch, lr);              // on a GPU: queued, and the host goes on
//   step.launch(next_batch, next_lr);
//   StepResult first = step.finish();    // of the first one; the second is being computed
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "core/late_copies.h"
#include "models/model.h"
#include "train/optimizer.h"
#include "train/settings.h"
#include "train/step_inputs.h"

namespace farsight {

struct StepResult {
  double loss = 0;           ///< mean over the labels of the global batch
  std::int64_t labels = 0;   ///< of this rank's share
  std::int64_t right = 0;    ///< of them, predicted by the argmax
  double gradient_norm = 0;  ///< before clipping; TrainStep only
  double accuracy() const;   ///< percent
};

class TrainStep {
 public:
  TrainStep(const Model& model, AdamW& optimizer, GraphUse graphs);
  ~TrainStep();
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  /// Queues a step. At most LateCopies::kMost may be under way.
  void launch(const GlobalBatch& batch, double lr);
  /// What the oldest step under way gave; waits for it. After a gradient that is not finite no step
  /// moves the parameters any more.
  StepResult finish();
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
  void run_known(Known& known, const GlobalBatch& batch);
  void measure(Known& known, const StepInputs& inputs);
  void capture(Known& known, const GlobalBatch& batch);

  const Model& model_;
  AdamW& optimizer_;
  GraphUse graphs_;
  Tensor tally_;  // [2] f64: loss summed over labels, labels predicted right
  LateCopies results_;
  struct Launched {
    std::int64_t labels = 0, all_labels = 0;  // this rank's, all ranks'
  };
  std::deque<Launched> launched_;
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
