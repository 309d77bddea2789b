// Text to tokens: words, their tokens from the cache or by merges.
#pragma once

#include <array>
#include <cstdint>
#include <span>
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
  struct Word {
    const char* begin;
    std::size_t bytes;
    WordCache::Key key;  ///< where the cache may have it
  };

  /// The next words of the text from `at` on, which is moved behind them.
  std::span<const Word> split(const char*& at, const char* end);
  void encode(std::span<const Word> words, Ids& out);

  const BytePairs& pairs_;
  PreTokens pre_tokens_;
  WordCache cache_;
  // So many at a time that the cache's answers are there when they are wanted.
  std::array<Word, 32> words_;
};

}  // namespace farsight
