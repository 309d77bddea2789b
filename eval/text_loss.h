// A model on text: how well it foretells each token from those before it in its block.
#pragma once

#include <cstdint>

#include "data/text_loader.h"
#include "models/model.h"

namespace farsight {

struct TextLoss {
  double loss = 0;  ///< mean cross-entropy over all labels, nats a token
  std::int64_t labels = 0;
  std::int64_t tokens = 0;  ///< fed
  /// exp(loss)
  double perplexity() const;
};

/// All blocks, in order, at most `micro_tokens` tokens in a forward pass (one row always fits).
/// Throws Error(data) where there is no block, or where blocks are longer than the model reads.
TextLoss evaluate_text(const Model& model, const TextBlocks& blocks, std::int64_t micro_tokens);

}  // namespace farsight
