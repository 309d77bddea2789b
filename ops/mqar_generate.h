// The examples of an MQAR batch, made where they are computed with: bit for bit those of
// data/mqar.h, from a table of some fifty bytes for each.
//
//   tokens: [rows, length]      what the entries say, which cover all of it
//   positions: [rows, length]   place of every token in its entry; null: not wanted
//   label_rows, targets: [R]    as in data/batches.h for the entries' labels, -1 for what is left
//
//   all i32. Examples follow from their addresses by core/mqar_draws.h. Not differentiable.
#pragma once

#include "core/mqar_draws.h"
#include "ops/kernel.h"

namespace farsight {

/// Of one batch, in host memory.
struct MqarTable {
  const MqarEntry* entries = nullptr;  ///< [count]: tokens and labels without a hole, in order
  std::int64_t count = 0;
  const std::uint64_t* slot_sums = nullptr;  ///< [slots + 1]: PowerLawSlots::sums
  std::int64_t slots = 0;
  MqarIds ids;
};

/// On the device of `tokens`. The table may be gone when this returns.
void mqar_generate(const MqarTable& table, const Tensor& tokens, const Tensor* positions,
                   const Tensor& label_rows, const Tensor& targets);

struct MqarGenerateArgs {
  const MqarEntry* entries = nullptr;
  const std::uint64_t* slot_sums = nullptr;
  MqarIds ids;
  std::int32_t *tokens = nullptr, *positions = nullptr;  // positions: null is not wanted
  std::int32_t *label_rows = nullptr, *targets = nullptr;
  std::int64_t count = 0, labels = 0, R = 0;
  std::int64_t scratch_words = 0;    // of the entry that needs most
  std::uint64_t* scratch = nullptr;  // [count, scratch_words]; null: the kernel has its own
};

/// Scratch that a CUDA kernel finds in its shared memory: lengths up to about 4,000.
inline constexpr std::int64_t kMqarSharedWords = 48 * 1024 / 8;

}  // namespace farsight

FARSIGHT_KERNEL(mqar_generate, MqarGenerateArgs)
