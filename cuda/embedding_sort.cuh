// The tokens of an embedding's backward in the order of their ids.
#pragma once

#include "ops/embedding.h"

namespace farsight::cuda {

struct EmbeddingEntry {
  unsigned id;  // V: not in the vocabulary
  int i;
};
static_assert(sizeof(EmbeddingEntry) == 8);

/// Leaves the sorted list, an entry a token, in the first half of a.order; equal ids stay in their order.
void sort_tokens(const EmbeddingArgs& a);

}  // namespace farsight::cuda
