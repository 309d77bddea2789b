// Byte pair merges: the tokens of one word.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "data/text/tokenizer_file.h"

namespace farsight {

class BytePairs {
 public:
  explicit BytePairs(const TokenizerFile& file);

  /// Appends the tokens of a word: its bytes, in which the pair of neighbours that comes first in
  /// the list of merges is joined, the leftmost first, until there is none. The word must consist of
  /// bytes that have a token. O(n log n).
  void encode(std::string_view word, std::vector<std::int32_t>& append_to) const;

 private:
  static constexpr std::uint32_t kNoRank = ~std::uint32_t{0};
  class Word;
  void encode_short(std::string_view word, std::vector<std::int32_t>& append_to) const;

  /// The place of this pair in the list of merges; kNoRank when it is not there.
  std::uint32_t rank_of(std::int32_t left, std::int32_t right) const;
  std::size_t slot_of(std::uint64_t pair) const;

  /// The same of two bytes: where every word begins, from a table of its own.
  std::uint32_t rank_of_bytes(char left, char right) const {
    const auto row = static_cast<std::size_t>(static_cast<unsigned char>(left));
    return byte_ranks_[256 * row + static_cast<unsigned char>(right)];
  }

  std::array<std::int32_t, 256> bytes_;
  std::vector<std::uint32_t> byte_ranks_;
  std::vector<std::int32_t> results_;  // by rank
  // Open addressing: pair above, rank below; as 20-bit ids and a 21-bit rank a slot is one number.
  std::vector<std::uint64_t> slots_;
  int shift_ = 64;
};

}  // namespace farsight
