#include "train/step.h"

#include <cmath>

#include "autograd/tape.h"
#include "core/clock.h"
#include "core/device_calls.h"
#include "ops/linear_cross_entropy.h"
#include "ops/tally.h"

namespace farsight {
namespace {

constexpr int kGraphPool = 1;           // of the arena
constexpr std::size_t kMostKnown = 64;  // shapes of steps
// A graph saves the host's time alone. Where that is less than this share of a step's, it hides
// behind the GPU's.
constexpr double kLaunchBound = 0.7;

DType type_of_loss(const Model& model) {
  return accumulator_of(model.parameters->compute());
}

/// Gradients of the step, and its tally, to which it adds where `add`. `sync` is told which backward
/// is the last. Asks for nothing that a graph could not keep.
void run_backward(const Model& model, const StepInputs& inputs, const Tensor& tally,
                  bool add = false, GradientSync* sync = nullptr) {
  model.parameters->forget_gradients();
  if (inputs.micro_batches.empty() && !add) tally.fill_zero();
  for (const MicroInputs& micro : inputs.micro_batches) {
    if (sync != nullptr && &micro == &inputs.micro_batches.back()) sync->expect();
    Tensor predictions;
    Tape tape;
    const Tensor features = model.features(micro.tokens, micro.rows,
                                           micro.position ? &micro.position : nullptr, &micro.pass);
    const Tensor loss =
        linear_cross_entropy(features, model.head->operand, micro.targets, 1.0, &predictions);
    tape.backward(loss, inputs.share);
    tally_predictions(loss, predictions, micro.targets, tally, add);
    add = true;
  }
  model.parameters->complete_gradients();
}

}  // namespace

double StepResult::accuracy() const {
  return labels == 0 ? 0 : 100.0 * static_cast<double>(right) / static_cast<double>(labels);
}

TrainStep::TrainStep(const Model& model, AdamW& optimizer, GraphUse graphs, StepPeers peers)
    : model_(model),
      optimizer_(optimizer),
      graphs_(model.parameters->device() == Device::cuda ? graphs : GraphUse::off),
      peers_(peers),
      said_(Tensor::zeros({3}, DType::f64, model.parameters->device(), "tally")),
      tally_(said_.slice_flat(0, {2})),
      results_({3, 2}, model.parameters->device()) {
  if (peers.shards > 1) tree_.emplace(model.parameters->gradients(), peers.shards);
  optimizer_.watch_loss(tally_);
}

TrainStep::~TrainStep() {
  for (auto& [shape, known] : known_) {
    if (known.graph != nullptr) device_calls().release_graph(known.graph);
  }
}

void TrainStep::launch(std::span<const GlobalBatch> shards, double lr, double vote) {
  optimizer_.schedule(lr);
  const GlobalBatch& batch = shards.front();
  if (peers_.sync != nullptr || tree_) {
    run_shards(shards, vote);
  } else if (graphs_ == GraphUse::off) {
    run(inputs(batch));
  } else {
    const StepShape shape = shape_of(batch, Device::cuda);
    if (known_.size() >= kMostKnown) {  // keep what cost something
      std::erase_if(known_, [](const auto& entry) { return entry.second.graph == nullptr; });
    }
    run_known(known_[shape], batch);
  }
  launched_.push_back(batch.labels);
  results_.send({&said_, &optimizer_.norm()});
}

StepResult TrainStep::finish() {
  const std::vector<double> numbers = results_.receive();
  const std::int64_t labels = launched_.front();
  launched_.pop_front();
  double exposed = 0;
  if (peers_.sync != nullptr) {
    peers_.sync->require_all();
    exposed = peers_.sync->exposed_ms();
  }
  return {.loss = numbers[0] / static_cast<double>(labels),
          .labels = labels,
          .right = static_cast<std::int64_t>(numbers[1]),
          .gradient_norm = numbers[3],
          .votes = numbers[2],
          .exposed_ms = exposed};
}

StepInputs TrainStep::inputs(const GlobalBatch& batch) const {
  return inputs_of(batch, type_of_loss(model_), model_.parameters->device());
}

void TrainStep::run(const StepInputs& inputs) {
  if (operation_done != nullptr) operation_done("batch", Pass::update, {});
  run_backward(model_, inputs, tally_);
  if (!capturing_) before_update_();
  optimizer_.launch();
  if (operation_done != nullptr) operation_done("adamw", Pass::update, optimizer_.least_work());
}

/// The same of a batch in several pieces, on several ranks.
void TrainStep::run_shards(std::span<const GlobalBatch> shards, double vote) {
  check(static_cast<int>(shards.size()) == peers_.shards, "TrainStep: {} shards, got {}",
        peers_.shards, shards.size());
  said_.slice_flat(2, {1}).copy_from(Tensor::from(std::span<const double>(&vote, 1), {1}));
  for (std::size_t i = 0; i < shards.size(); i++) {
    run_backward(model_, inputs(shards[i]), tally_, i > 0, peers_.sync);
    if (tree_) tree_->add();
  }
  if (peers_.sync != nullptr) {
    peers_.sync->finish();
    peers_.sync->sum(said_);
  }
  if (operation_done != nullptr) operation_done("sum over ranks", Pass::update, {});
  before_update_();
  optimizer_.launch();
  if (operation_done != nullptr) operation_done("adamw", Pass::update, optimizer_.least_work());
  if (optimizer_.keeps_part()) {
    peers_.sync->share_parts(model_.parameters->values());
    model_.parameters->refresh_operands();
  }
}

/// The first time everything that a step needs is prepared, the second time it is measured, and from
/// the third on it may be a graph.
void TrainStep::run_known(Known& known, const GlobalBatch& batch) {
  const int seen = known.seen++;
  const bool full = known_.size() >= kMostKnown;
  if (seen == 2 && !full && (known.worth_it || graphs_ == GraphUse::on)) capture(known, batch);
  if (known.graph != nullptr) {
    if (seen > 2) refill(known.inputs, batch);
    before_update_();
    device_calls().start_graph(known.graph);
    graph_starts_++;
    return;
  }
  if (seen == 1 && graphs_ == GraphUse::automatic) {
    measure(known, inputs(batch));
  } else {
    run(inputs(batch));
  }
}

void TrainStep::measure(Known& known, const StepInputs& inputs) {
  device_calls().synchronize();
  const double start = seconds_now();
  run(inputs);
  const double asked = seconds_now() - start;
  device_calls().synchronize();
  known.worth_it = asked > kLaunchBound * (seconds_now() - start);
}

void TrainStep::capture(Known& known, const GlobalBatch& batch) {
  const DeviceCalls& gpu = device_calls();
  known.inputs = inputs(batch);
  if (!gpu.begin_graph()) return;
  arena(Device::cuda).use_pool(kGraphPool);
  capturing_ = true;
  try {
    run(known.inputs);
  } catch (const Error& error) {
    capturing_ = false;
    if (error.code() != ExitCode::memory) throw;
    // The pool does not fit beside what the steps before used: they go on as they were.
    arena(Device::cuda).use_pool(0);
    if (void* unfinished = gpu.end_graph()) gpu.release_graph(unfinished);
    return;
  }
  capturing_ = false;
  arena(Device::cuda).use_pool(0);
  known.graph = gpu.end_graph();
}

StepResult forward_backward(const Model& model, const GlobalBatch& batch) {
  const Device device = model.parameters->device();
  const Tensor tally = Tensor::zeros({2}, DType::f64, device, "tally");
  run_backward(model, inputs_of(batch, type_of_loss(model), device), tally);
  StepResult result{.labels = labels_of(batch)};
  if (device == Device::meta) return result;
  const Tensor numbers = tally.to(Device::cpu);
  result.loss = numbers.data<double>()[0] / static_cast<double>(batch.labels);
  result.right = static_cast<std::int64_t>(numbers.data<double>()[1]);
  return result;
}

std::string first_not_finite(const Model& model, const GlobalBatch& batch) {
  std::string found;
  const Watch watch([&](const std::string& name, const Tensor& value, bool backward) {
    if (!found.empty() || value.device() == Device::meta || value.dtype() == DType::i32) return;
    const Tensor dense = value.contiguous().to(Device::cpu).to(DType::f64);
    for (double x : dense.span<double>()) {
      if (std::isfinite(x)) continue;
      found = backward ? "the gradient of " + name : name;
      return;
    }
  });
  forward_backward(model, batch);
  return found;
}

}  // namespace farsight
