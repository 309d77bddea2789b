#include "train/step.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>

#include "autograd/tape.h"
#include "core/device_calls.h"
#include "eval/recall.h"
#include "ops/linear_cross_entropy.h"
#include "ops/tally.h"

namespace farsight {
namespace {

constexpr int kGraphPool = 1;           // of the arena
constexpr std::size_t kMostKnown = 64;  // shapes of steps
// A graph saves the host's time alone. Where that is less than this share of a step's, it hides
// behind the GPU's.
constexpr double kLaunchBound = 0.7;

/// Numbers of labels differ from batch to batch; on a GPU they are rounded up to one of eight in
/// each octave.
std::int64_t padded(std::int64_t labels, Device device) {
  if (device != Device::cuda || labels == 0) return labels;
  const auto octave = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(labels)));
  const std::int64_t step = std::max<std::int64_t>(16, octave / 8);
  return (labels + step - 1) / step * step;
}

Tensor padded_indices(const std::vector<std::int32_t>& values, std::int64_t count, Device device) {
  std::vector<std::int32_t> all = values;
  all.resize(static_cast<std::size_t>(count), -1);
  return index_tensor(all, {count}, device);
}

MicroInputs inputs_of(const Batch& micro, Device device) {
  const Shape shape{micro.rows, micro.length};
  const std::int64_t labels = padded(micro.labels(), device);
  MicroInputs inputs;
  inputs.tokens = index_tensor(micro.tokens, shape, device);
  if (micro.packed()) inputs.position = index_tensor(micro.positions, shape, device);
  inputs.rows = padded_indices(micro.label_rows, labels, device);
  inputs.targets = padded_indices(micro.targets, labels, device);
  return inputs;
}

Tensor share_of(const Model& model, const GlobalBatch& batch) {
  const DType wide = accumulator_of(model.parameters->compute());
  const double share[] = {1.0 / static_cast<double>(batch.labels)};
  return Tensor::from(std::span<const double>(share), {1}, "share").to(wide);
}

StepInputs inputs_of(const Model& model, const GlobalBatch& batch, Device device) {
  StepInputs inputs;
  inputs.share = share_of(model, batch).to(device);
  for (const Batch& micro : batch.micro_batches) {
    inputs.micro_batches.push_back(inputs_of(micro, device));
  }
  return inputs;
}

/// The same into the tensors of `to`, whose addresses a graph knows.
void refill(const StepInputs& to, const Model& model, const GlobalBatch& batch) {
  to.share.copy_from(share_of(model, batch));
  for (std::size_t i = 0; i < batch.micro_batches.size(); i++) {
    const Batch& micro = batch.micro_batches[i];
    const MicroInputs& known = to.micro_batches[i];
    const auto fill = [](const Tensor& tensor, std::vector<std::int32_t> values) {
      values.resize(static_cast<std::size_t>(tensor.elements()), -1);
      tensor.copy_from(index_tensor(values, tensor.shape(), Device::cpu));
    };
    fill(known.tokens, micro.tokens);
    fill(known.rows, micro.label_rows);
    fill(known.targets, micro.targets);
    if (known.position) fill(known.position, micro.positions);
  }
}

/// Gradients of the step, and its tally. Asks for nothing that a graph could not keep.
void run_backward(const Model& model, const StepInputs& inputs, const Tensor& tally) {
  model.parameters->forget_gradients();
  if (inputs.micro_batches.empty()) tally.fill_zero();
  bool add = false;
  for (const MicroInputs& micro : inputs.micro_batches) {
    Tensor predictions;
    Tape tape;
    const Tensor features =
        model.features(micro.tokens, micro.rows, micro.position ? &micro.position : nullptr);
    const Tensor loss =
        linear_cross_entropy(features, model.head->operand, micro.targets, 1.0, &predictions);
    tape.backward(loss, inputs.share);
    tally_predictions(loss, predictions, micro.targets, tally, add);
    add = true;
  }
  model.parameters->complete_gradients();
}

std::int64_t labels_of(const GlobalBatch& batch) {
  std::int64_t labels = 0;
  for (const Batch& micro : batch.micro_batches) {
    labels += micro.labels();
  }
  return labels;
}

double seconds_now() {
  using std::chrono::steady_clock;
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

double StepResult::accuracy() const {
  return labels == 0 ? 0 : 100.0 * static_cast<double>(right) / static_cast<double>(labels);
}

TrainStep::TrainStep(const Model& model, AdamW& optimizer, GraphUse graphs)
    : model_(model),
      optimizer_(optimizer),
      graphs_(model.parameters->device() == Device::cuda ? graphs : GraphUse::off),
      tally_(Tensor::zeros({2}, DType::f64, model.parameters->device(), "tally")),
      results_({2, 2}, model.parameters->device()) {}

TrainStep::~TrainStep() {
  for (auto& [shape, known] : known_) {
    if (known.graph != nullptr) device_calls().release_graph(known.graph);
  }
}

void TrainStep::launch(const GlobalBatch& batch, double lr) {
  optimizer_.schedule(lr);
  if (graphs_ == GraphUse::off) {
    run(inputs_of(model_, batch, model_.parameters->device()));
  } else {
    StepShape shape;
    for (const Batch& micro : batch.micro_batches) {
      shape.insert(shape.end(), {micro.rows, micro.length, padded(micro.labels(), Device::cuda),
                                 micro.packed() ? 1 : 0});
    }
    if (known_.size() >= kMostKnown) {  // keep what cost something
      std::erase_if(known_, [](const auto& entry) { return entry.second.graph == nullptr; });
    }
    run_known(known_[shape], batch);
  }
  launched_.push_back({labels_of(batch), batch.labels});
  results_.send({&tally_, &optimizer_.norm()});
}

StepResult TrainStep::finish() {
  const std::vector<double> numbers = results_.receive();
  const Launched launched = launched_.front();
  launched_.pop_front();
  return {.loss = numbers[0] / static_cast<double>(launched.all_labels),
          .labels = launched.labels,
          .right = static_cast<std::int64_t>(numbers[1]),
          .gradient_norm = numbers[2]};
}

void TrainStep::run(const StepInputs& inputs) {
  run_backward(model_, inputs, tally_);
  optimizer_.launch();
}

/// The first time everything that a step needs is prepared, the second time it is measured, and from
/// the third on it may be a graph.
void TrainStep::run_known(Known& known, const GlobalBatch& batch) {
  const int seen = known.seen++;
  const bool full = known_.size() >= kMostKnown;
  if (seen == 2 && !full && (known.worth_it || graphs_ == GraphUse::on)) capture(known, batch);
  if (known.graph != nullptr) {
    if (seen > 2) refill(known.inputs, model_, batch);
    device_calls().start_graph(known.graph);
    graph_starts_++;
    return;
  }
  const StepInputs inputs = inputs_of(model_, batch, Device::cuda);
  if (seen == 1 && graphs_ == GraphUse::automatic) {
    measure(known, inputs);
  } else {
    run(inputs);
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
  known.inputs = inputs_of(model_, batch, Device::cuda);
  if (!gpu.begin_graph()) return;
  arena(Device::cuda).use_pool(kGraphPool);
  try {
    run(known.inputs);
  } catch (const Error& error) {
    if (error.code() != ExitCode::memory) throw;
    // The pool does not fit beside what the steps before used: they go on as they were.
    arena(Device::cuda).use_pool(0);
    if (void* unfinished = gpu.end_graph()) gpu.release_graph(unfinished);
    return;
  }
  arena(Device::cuda).use_pool(0);
  known.graph = gpu.end_graph();
}

StepResult forward_backward(const Model& model, const GlobalBatch& batch) {
  const Device device = model.parameters->device();
  const Tensor tally = Tensor::zeros({2}, DType::f64, device, "tally");
  run_backward(model, inputs_of(model, batch, device), tally);
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
