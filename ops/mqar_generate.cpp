#include "ops/mqar_generate.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/parallel.h"
#include "core/tensor.h"

namespace farsight {
namespace {

constexpr std::int64_t kEntryWords = sizeof(MqarEntry) / sizeof(std::int64_t);
static_assert(sizeof(MqarEntry) % sizeof(std::int64_t) == 0);

/// What the entries cover, and the scratch that the largest needs.
struct Extent {
  std::int64_t tokens = 0, labels = 0, scratch_words = 0;
};

Extent extent_of(const MqarTable& table) {
  Extent all;
  for (std::int64_t i = 0; i < table.count; i++) {
    const MqarEntry& entry = table.entries[i];
    const MqarLayout& layout = entry.layout;
    check(entry.first_token == all.tokens && entry.first_label == all.labels,
          "mqar_generate: entry {} must begin at token {} and label {}, got {} and {}", i,
          all.tokens, all.labels, entry.first_token, entry.first_label);
    check(layout.length >= 1 &&
              (layout.pairs == 0 || can_draw(layout, table.ids, static_cast<int>(table.slots))),
          "mqar_generate: entry {} ({} tokens, {} pairs) has not the ids or slots for its draws", i,
          layout.length, layout.pairs);
    all.tokens += layout.length;
    all.labels += layout.labels();
    all.scratch_words = std::max(all.scratch_words, MqarScratch::words(layout));
  }
  return all;
}

/// Sums and entries, in this order, where the kernel runs: one transfer.
Tensor placed(const MqarTable& table, Device device) {
  const std::int64_t words = table.slots + 1 + table.count * kEntryWords;
  const Tensor here = Tensor::empty({2 * words}, DType::i32, Device::cpu, "examples to make");
  std::uint64_t* sums = static_cast<std::uint64_t*>(here.ptr());
  std::copy_n(table.slot_sums, table.slots + 1, sums);
  std::memcpy(sums + table.slots + 1, table.entries,
              static_cast<std::size_t>(table.count) * sizeof(MqarEntry));
  return here.to(device);
}

}  // namespace

void mqar_generate(const MqarTable& table, const Tensor& tokens, const Tensor* positions,
                   const Tensor& label_rows, const Tensor& targets) {
  check(table.count >= 1, "mqar_generate: the table is empty");
  const Extent extent = extent_of(table);
  check(tokens.dense() && tokens.elements() == extent.tokens,
        "mqar_generate: tokens must be dense and {} as the entries say, got {}", extent.tokens,
        tokens.shape());
  check(positions == nullptr || (positions->dense() && positions->shape() == tokens.shape()),
        "mqar_generate: positions must be dense and {} as tokens", tokens.shape());
  check(label_rows.shape() == targets.shape() && targets.shape().n == 1 &&
            targets.elements() >= extent.labels,
        "mqar_generate: label_rows and targets must be [R] alike with R at least {}, got {} and {}",
        extent.labels, label_rows.shape(), targets.shape());
  const Device device = tokens.device();
  const Tensor memory = placed(table, device);
  Tensor scratch;
  if (device == Device::cuda && extent.scratch_words > kMqarSharedWords) {
    scratch = Tensor::empty({table.count, 2 * extent.scratch_words}, DType::i32, device,
                            "draws of examples");
  }
  const std::uint64_t* sums = static_cast<const std::uint64_t*>(memory.ptr());
  const MqarGenerateArgs a{
      .entries = reinterpret_cast<const MqarEntry*>(sums + table.slots + 1),
      .slot_sums = sums,
      .ids = table.ids,
      .tokens = tokens.data<std::int32_t>(),
      .positions = positions == nullptr ? nullptr : positions->data<std::int32_t>(),
      .label_rows = label_rows.data<std::int32_t>(),
      .targets = targets.data<std::int32_t>(),
      .count = table.count,
      .labels = extent.labels,
      .R = targets.elements(),
      .scratch_words = extent.scratch_words,
      .scratch = static_cast<std::uint64_t*>(scratch.ptr())};
  FARSIGHT_LAUNCH(mqar_generate, device, a);
}

namespace cpu {
namespace {

void make_example(const MqarGenerateArgs& a, const MqarEntry& entry) {
  const MqarLayout& layout = entry.layout;
  std::int32_t* tokens = a.tokens + entry.first_token;
  std::fill_n(tokens, layout.length, kEmpty);
  for (std::int32_t i = 0; i < layout.length && a.positions != nullptr; i++) {
    a.positions[entry.first_token + i] = i;
  }
  if (layout.pairs == 0) return;
  std::vector<std::uint64_t> memory(static_cast<std::size_t>(MqarScratch::words(layout)));
  const MqarScratch scratch(memory.data(), layout);
  PhiloxSequence random(entry.key, entry.item);
  prepare_draws(layout, a.slot_sums, scratch, 0, 1);
  draw_pairs(layout, a.ids, a.slot_sums, scratch, random);
  place_pairs(layout, scratch, tokens, 0, 1);
  std::int64_t next = entry.first_label;
  for (int slot = 0; slot < layout.query_slots; slot++) {
    if (scratch.asked[slot] < 0) continue;
    for (int i = 0; i < layout.labels_per_pair(); i++) {
      const MqarLabel label = label_at(layout, scratch, slot, i);
      a.label_rows[next] = entry.first_token + label.row;
      a.targets[next] = label.target;
      next++;
    }
  }
  fill_empty(a.ids.filler, random, tokens, layout.length);
}

}  // namespace

void mqar_generate(const MqarGenerateArgs& a) {
  parallel_for(a.count, [&](std::int64_t i) { make_example(a, a.entries[i]); });
  std::fill(a.label_rows + a.labels, a.label_rows + a.R, -1);
  std::fill(a.targets + a.labels, a.targets + a.R, -1);
}

}  // namespace cpu
}  // namespace farsight
