#include "eval/recall.h"

#include "autograd/tape.h"
#include "ops/linear_cross_entropy.h"

namespace farsight {

Tensor index_tensor(const std::vector<std::int32_t>& values, const Shape& shape, Device device) {
  if (device == Device::meta) return Tensor::empty(shape, DType::i32, device, "indices");
  return Tensor::from(std::span<const std::int32_t>(values), shape, "indices").to(device);
}

RecallResult evaluate_recall(const Model& model, const MqarTask& task,
                             const RecallOptions& options) {
  require(task.model_vocabulary() <= model.vocab_size, ExitCode::data,
          "task '{}' has {} token ids, the model only {}", task.name, task.model_vocabulary(),
          model.vocab_size);
  const NoTape inference;
  const Device device = model.parameters->device();
  MqarMetrics metrics(task.cells);
  RecallResult result;
  double loss_sum = 0;
  std::int64_t labels = 0;
  for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
    for (const Batch& batch : evaluation_batches(task, options.split, cell,
                                                 options.examples_per_cell, options.micro_tokens)) {
      const Tensor tokens = index_tensor(batch.tokens, {batch.rows, batch.length}, device);
      const Tensor rows = index_tensor(batch.label_rows, {batch.labels()}, device);
      const Tensor targets = index_tensor(batch.targets, {batch.labels()}, device);
      Tensor predictions;
      const Tensor loss = linear_cross_entropy(model.features(tokens, rows, nullptr, nullptr),
                                               model.head->operand, targets, 1.0, &predictions);
      result.tokens += static_cast<std::int64_t>(batch.tokens.size());
      if (device == Device::meta) continue;
      const Tensor predicted = predictions.to(Device::cpu);
      metrics.add(batch, predicted.span<std::int32_t>());
      loss_sum += loss.to(Device::cpu).to(DType::f64).data<double>()[0];
      labels += batch.labels();
    }
  }
  result.score = metrics.score();
  result.loss = labels == 0 ? 0 : loss_sum / static_cast<double>(labels);
  return result;
}

}  // namespace farsight
