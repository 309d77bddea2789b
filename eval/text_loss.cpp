#include "eval/text_loss.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "autograd/tape.h"
#include "eval/recall.h"
#include "ops/linear_cross_entropy.h"

namespace farsight {
namespace {

/// Summed over the labels of the batch; 0 on Device::meta, which computes nothing.
double summed_loss(const Model& model, const Batch& batch) {
  const Device device = model.parameters->device();
  const Tensor tokens = index_tensor(batch.tokens, {batch.rows, batch.length}, device);
  const Tensor rows = index_tensor(batch.label_rows, {batch.labels()}, device);
  const Tensor features = model.features(tokens, rows, nullptr, nullptr);
  const Tensor targets = index_tensor(batch.targets, {batch.labels()}, device);
  const Tensor loss = linear_cross_entropy(features, model.head->operand, targets, 1.0);
  if (device == Device::meta) return 0;
  return loss.to(Device::cpu).to(DType::f64).data<double>()[0];
}

}  // namespace

double TextLoss::perplexity() const {
  return std::exp(loss);
}

TextLoss evaluate_text(const Model& model, const TextBlocks& blocks, std::int64_t micro_tokens) {
  require(blocks.count >= 1, ExitCode::data, "there is no block of {} tokens to test on",
          blocks.length);
  require(model.max_length == 0 || blocks.length <= model.max_length, ExitCode::data,
          "blocks of {} tokens are longer than the {} that this {} model reads", blocks.length,
          model.max_length, model.family);
  const NoTape inference;
  const std::int64_t most = std::max<std::int64_t>(1, micro_tokens / blocks.length);
  TextLoss result;
  double sum = 0;
  for (std::int64_t begin = 0; begin < blocks.count; begin += most) {
    std::vector<std::int64_t> rows(static_cast<std::size_t>(std::min(most, blocks.count - begin)));
    std::iota(rows.begin(), rows.end(), begin);
    const Batch batch = text_batch(blocks, rows);
    sum += summed_loss(model, batch);
    result.labels += batch.labels();
    result.tokens += static_cast<std::int64_t>(batch.tokens.size());
  }
  result.loss = sum / static_cast<double>(result.labels);
  return result;
}

}  // namespace farsight
