#include "train/step_inputs.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <span>

#include "core/philox.h"
#include "eval/recall.h"
#include "ops/mqar_generate.h"

namespace farsight {
namespace {

/// Numbers of labels differ from batch to batch; on a GPU they are rounded up to one of eight in
/// each octave.
std::int64_t padded(std::int64_t labels, Device device) {
  if (device != Device::cuda || labels == 0) return labels;
  const auto octave = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(labels)));
  const std::int64_t step = std::max<std::int64_t>(16, octave / 8);
  return (labels + step - 1) / step * step;
}

MicroInputs room_for(const MicroShape& micro, Device device) {
  const auto room = [&](const Shape& shape) {
    return Tensor::empty(shape, DType::i32, device, "indices");
  };
  const Shape grid{micro.rows, micro.length};
  return {.tokens = room(grid),
          .position = micro.packed ? room(grid) : Tensor(),
          .rows = room({micro.labels}),
          .targets = room({micro.labels}),
          .pass = room({2 + grid.elements()})};
}

/// What the values leave over becomes -1.
void fill(const Tensor& to, std::vector<std::int32_t> values) {
  values.resize(static_cast<std::size_t>(to.elements()), -1);
  to.copy_from(index_tensor(values, to.shape(), Device::cpu));
}

void upload(const MicroInputs& to, const Batch& micro) {
  fill(to.tokens, micro.tokens);
  fill(to.rows, micro.label_rows);
  fill(to.targets, micro.targets);
  if (to.position) fill(to.position, micro.positions);
}

/// The key in two halves, and the tokens' numbers.
void key(const MicroInputs& to, const GlobalBatch& batch, std::size_t index) {
  std::vector<std::uint32_t> numbers =
      batch.plans.empty() ? batch.micro_batches[index].numbers : numbers_of(batch.plans[index]);
  std::uint64_t key = batch.key;
  if (numbers.empty()) {  // made by hand: a key of each micro-batch's own keeps them apart
    key = philox_key(key, index);
    numbers.resize(static_cast<std::size_t>(to.tokens.elements()));
    std::iota(numbers.begin(), numbers.end(), 0u);
  }
  std::vector<std::int32_t> values = {
      static_cast<std::int32_t>(static_cast<std::uint32_t>(key)),
      static_cast<std::int32_t>(static_cast<std::uint32_t>(key >> 32))};
  for (const std::uint32_t number : numbers)
    values.push_back(static_cast<std::int32_t>(number));
  fill(to.pass, std::move(values));
}

void make(const MicroInputs& to, const BatchPlan& plan, const GlobalBatch& batch) {
  const MqarTable table{.entries = plan.entries.data(),
                        .count = static_cast<std::int64_t>(plan.entries.size()),
                        .slot_sums = batch.slot_sums.data(),
                        .slots = static_cast<std::int64_t>(batch.slot_sums.size()) - 1,
                        .ids = batch.ids};
  mqar_generate(table, to.tokens, to.position ? &to.position : nullptr, to.rows, to.targets);
}

}  // namespace

StepShape shape_of(const GlobalBatch& batch, Device device) {
  StepShape shape;
  for (const Batch& micro : batch.micro_batches) {
    shape.push_back({micro.rows, micro.length, padded(micro.labels(), device), micro.packed()});
  }
  for (const BatchPlan& plan : batch.plans) {
    shape.push_back({plan.rows, plan.length, padded(plan.labels, device), plan.packed});
  }
  return shape;
}

std::int64_t labels_of(const GlobalBatch& batch) {
  std::int64_t labels = 0;
  for (const MicroShape& micro : shape_of(batch, Device::cpu)) {  // where nothing is added
    labels += micro.labels;
  }
  return labels;
}

StepInputs inputs_of(const GlobalBatch& batch, DType wide, Device device) {
  StepInputs inputs;
  inputs.share = Tensor::empty({1}, wide, device, "share");
  for (const MicroShape& micro : shape_of(batch, device)) {
    inputs.micro_batches.push_back(room_for(micro, device));
  }
  refill(inputs, batch);
  return inputs;
}

void refill(const StepInputs& to, const GlobalBatch& batch) {
  const double share[] = {1.0 / static_cast<double>(batch.labels)};
  to.share.copy_from(Tensor::from(std::span<const double>(share), {1}).to(to.share.dtype()));
  for (std::size_t i = 0; i < to.micro_batches.size(); i++) {
    key(to.micro_batches[i], batch, i);
    if (batch.plans.empty()) {
      upload(to.micro_batches[i], batch.micro_batches[i]);
    } else {
      make(to.micro_batches[i], batch.plans[i], batch);
    }
  }
}

}  // namespace farsight
