#include "eval/recall.h"

#include <algorithm>

#include "autograd/tape.h"
#include "ops/linear_cross_entropy.h"

namespace farsight {
namespace {

/// Rows are cut into pieces of at least this many tokens, if a pass has room for as many: shorter
/// ones would leave a GPU idle, and longer ones would put fewer rows side by side.
constexpr std::int64_t kPieceTokens = 2048;

/// The answers of a batch: argmax and summed loss at its labels.
struct Answers {
  std::vector<std::int32_t> predictions;  ///< [labels]
  double loss = 0;
};

/// The columns begin .. end - 1 of a batch, and which of its labels are predicted there.
struct Piece {
  Batch batch;
  std::vector<std::size_t> labels;
};

Piece piece_of(const Batch& whole, int begin, int end) {
  Piece piece;
  Batch& batch = piece.batch;
  batch.rows = whole.rows;
  batch.length = end - begin;
  for (int row = 0; row < whole.rows; row++) {
    const auto first = whole.tokens.begin() + std::int64_t{row} * whole.length;
    batch.tokens.insert(batch.tokens.end(), first + begin, first + end);
  }
  for (std::size_t i = 0; i < whole.targets.size(); i++) {
    const std::int32_t row = whole.label_rows[i] / whole.length;
    const std::int32_t at = whole.label_rows[i] % whole.length;
    if (at < begin || at >= end) continue;
    piece.labels.push_back(i);
    batch.label_rows.push_back(row * batch.length + at - begin);
    batch.targets.push_back(whole.targets[i]);
  }
  return piece;
}

Tensor rows_of(const Batch& batch, Device device) {
  // Without a label the pass is still needed, for the state that it leaves: one row, unused.
  if (batch.targets.empty()) return index_tensor({0}, {1}, device);
  return index_tensor(batch.label_rows, {batch.labels()}, device);
}

/// What the head says of features [labels, d_model]; nothing on Device::meta.
Answers answers_of(const Model& model, const Tensor& features, const Batch& batch) {
  const Device device = features.device();
  const Tensor targets = index_tensor(batch.targets, {batch.labels()}, device);
  Tensor predictions;
  const Tensor loss =
      linear_cross_entropy(features, model.head->operand, targets, 1.0, &predictions);
  if (device == Device::meta) return {};
  const Tensor predicted = predictions.to(Device::cpu);
  const auto span = predicted.span<std::int32_t>();
  return {.predictions = {span.begin(), span.end()},
          .loss = loss.to(Device::cpu).to(DType::f64).data<double>()[0]};
}

Answers answer(const Model& model, const Batch& batch) {
  const Device device = model.parameters->device();
  const Tensor tokens = index_tensor(batch.tokens, {batch.rows, batch.length}, device);
  const Tensor features = model.features(tokens, rows_of(batch, device), nullptr, nullptr);
  return answers_of(model, features, batch);
}

/// The same with `columns` tokens of every row at a time.
Answers answer_in_pieces(const Model& model, const Batch& batch, int columns) {
  const Device device = model.parameters->device();
  const Stream stream = model.stream(batch.rows);
  Answers answers{.predictions = std::vector<std::int32_t>(batch.targets.size())};
  for (int begin = 0; begin < batch.length; begin += columns) {
    const Piece piece = piece_of(batch, begin, std::min(begin + columns, batch.length));
    const Tensor tokens =
        index_tensor(piece.batch.tokens, {piece.batch.rows, piece.batch.length}, device);
    const Tensor features = stream(tokens, rows_of(piece.batch, device));
    if (piece.labels.empty()) continue;
    const Answers part = answers_of(model, features, piece.batch);
    for (std::size_t i = 0; i < part.predictions.size(); i++) {
      answers.predictions[piece.labels[i]] = part.predictions[i];
    }
    answers.loss += part.loss;
  }
  return answers;
}

/// Refused before the first pass: a run of hours must not end at its last cell.
void require_readable(const Model& model, const MqarTask& task) {
  require(task.model_vocabulary() <= model.vocab_size, ExitCode::data,
          "task '{}' has {} token ids, the model only {}", task.name, task.model_vocabulary(),
          model.vocab_size);
  for (const Cell& cell : task.cells) {
    require(model.max_length == 0 || cell.length <= model.max_length, ExitCode::data,
            "task '{}' has examples of {} tokens, and this {} model ends at {}: it was made for "
            "sequences of that length and has no parameters for what comes after",
            task.name, cell.length, model.family, model.max_length);
  }
}

/// The examples of a cell that are asked for.
std::vector<Batch> batches_for(const MqarTask& task, const RecallOptions& options, std::size_t cell,
                               std::int64_t max_tokens) {
  if (options.set == nullptr) {
    return evaluation_batches(task, options.split, cell, options.examples_per_cell, max_tokens);
  }
  std::vector<Example> examples = options.set->read(cell);
  const auto most = static_cast<std::size_t>(options.examples_per_cell);
  if (examples.size() > most) examples.resize(most);
  return batches_of(cell, examples, max_tokens);
}

}  // namespace

Tensor index_tensor(const std::vector<std::int32_t>& values, const Shape& shape, Device device) {
  if (device == Device::meta) return Tensor::empty(shape, DType::i32, device, "indices");
  return Tensor::from(std::span<const std::int32_t>(values), shape, "indices").to(device);
}

RecallResult evaluate_recall(const Model& model, const MqarTask& task,
                             const RecallOptions& options) {
  require_readable(model, task);
  const NoTape inference;
  MqarMetrics metrics(task.cells);
  RecallResult result;
  double loss_sum = 0;
  std::int64_t labels = 0;
  for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
    const std::int64_t length = task.cells[cell].length;
    const bool cut = length > options.micro_tokens && model.stream;
    const std::int64_t rows =
        std::clamp<std::int64_t>(options.micro_tokens / kPieceTokens, 1, options.examples_per_cell);
    const int columns = static_cast<int>(std::max<std::int64_t>(1, options.micro_tokens / rows));
    for (const Batch& batch :
         batches_for(task, options, cell, cut ? rows * length : options.micro_tokens)) {
      const Answers answers = cut ? answer_in_pieces(model, batch, columns) : answer(model, batch);
      result.tokens += static_cast<std::int64_t>(batch.tokens.size());
      if (model.parameters->device() == Device::meta) continue;
      if (options.keep_answers) {
        const auto kept = answers_of(task, batch, answers.predictions);
        result.answers.insert(result.answers.end(), kept.begin(), kept.end());
      }
      metrics.add(batch, accepted(task, batch, answers.predictions));
      loss_sum += answers.loss;
      labels += batch.labels();
    }
  }
  result.score = metrics.score();
  result.loss = labels == 0 ? 0 : loss_sum / static_cast<double>(labels);
  return result;
}

}  // namespace farsight
