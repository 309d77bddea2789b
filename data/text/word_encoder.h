// Text to tokens: words, their tokens from the cache or by merges.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "data/text/byte_pairs.h"
#include "data/text/pre_tokens.h"
#include "data/text/word_cache.h"

namespace farsight {

/// For one thread at a time.
class WordEncoder {
 public:
  explicit WordEncoder(const BytePairs& pairs) : pairs_(pairs) {}

  /// Appends the tokens of a text that is valid UTF-8, normalised, and without added tokens.
  void encode(std::string_view text, std::vector<std::int32_t>& append_to);

 private:
  using Ids = std::vector<std::int32_t>;

  const BytePairs& pairs_;
  PreTokens pre_tokens_;
  WordCache cache_;
  std::array<std::int32_t, 1024> found_{};  // tokens on their way to the vector
};

}  // namespace farsight
