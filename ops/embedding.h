// y[i, :] = w[ids[i], :]
//
//   ids: [...] i32 in [0, V)    w: [V, D] f32 (f64)    y: [..., D], of the type of w
// Gradient: dw[v, :] += sum of dy[i, :] over i with ids[i] = v, in the order of i.
// Throws Error(data) when an id is outside the vocabulary.
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor embedding(const Tensor& ids, const Tensor& w);

// The CUDA backward: tokens a block adds up; blocks that sort at most, and digits each counts.
inline constexpr std::int64_t kEmbeddingChunk = 64, kEmbeddingSortBlocks = 256;
inline constexpr int kEmbeddingDigits = 256;

struct EmbeddingArgs {
  const std::int32_t* ids = nullptr;
  const void *w = nullptr, *dy = nullptr;
  void *y = nullptr, *dw = nullptr;
  bool dw_add = false;
  // CUDA: the tokens in the order of their ids, twice (id, i), and counts of digits
  // [kEmbeddingSortBlocks, kEmbeddingDigits]; parts of runs [chunks, 2, D].
  std::int32_t* order = nullptr;
  void* partial = nullptr;
  std::int64_t count = 0, V = 0, D = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(embedding_forward, EmbeddingArgs)
FARSIGHT_KERNEL(embedding_backward, EmbeddingArgs)
