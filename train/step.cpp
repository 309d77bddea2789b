#include "train/step.h"

#include <cmath>
#include <vector>

#include "autograd/tape.h"
#include "eval/recall.h"
#include "ops/linear_cross_entropy.h"

namespace farsight {

double StepResult::accuracy() const {
  return labels == 0 ? 0 : 100.0 * static_cast<double>(right) / static_cast<double>(labels);
}

StepResult forward_backward(const Model& model, const GlobalBatch& batch) {
  ParameterStore& parameters = *model.parameters;
  const Device device = parameters.device();
  parameters.forget_gradients();
  StepResult result;
  std::vector<Tensor> losses, all_predictions;
  for (const Batch& micro : batch.micro_batches) {
    const Tensor tokens = index_tensor(micro.tokens, {micro.rows, micro.length}, device);
    const Tensor rows = index_tensor(micro.label_rows, {micro.labels()}, device);
    const Tensor targets = index_tensor(micro.targets, {micro.labels()}, device);
    const Tensor one = Tensor::empty({1}, accumulator_of(parameters.compute()), Device::cpu, "one");
    with_type(one.dtype(), [&]<class T>() { one.data<T>()[0] = T(1); });
    Tensor predictions;
    Tape tape;
    const Tensor loss =
        linear_cross_entropy(model.features(tokens, rows, nullptr), model.head->operand, targets,
                             1.0 / static_cast<double>(batch.labels), &predictions);
    tape.backward(loss, one.to(device));
    losses.push_back(loss);
    all_predictions.push_back(predictions);
  }
  parameters.complete_gradients();
  if (device == Device::meta) return result;
  // Read back when everything is on its way: the GPU is waited for once a step.
  for (std::size_t m = 0; m < losses.size(); m++) {
    const Batch& micro = batch.micro_batches[m];
    const Tensor predicted = all_predictions[m].to(Device::cpu);
    result.loss += losses[m].to(Device::cpu).to(DType::f64).data<double>()[0];
    result.labels += micro.labels();
    for (std::size_t i = 0; i < micro.targets.size(); i++) {
      result.right += predicted.data<std::int32_t>()[i] == micro.targets[i] ? 1 : 0;
    }
  }
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
