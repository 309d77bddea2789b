// What the tokenizer asks about a character. The tables are generated (make_unicode_tables.py, which
// names the Unicode versions) and laid out at the first question: below a millisecond, 0.1 MB.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace farsight {

enum class CharacterClass : std::uint8_t { other, letter, number, space };

/// A byte a character in two stages: blocks of 256 characters, equal blocks stored once.
class CharacterTable {
 public:
  static const CharacterTable& instance();

  CharacterClass class_of(char32_t c) const {
    return static_cast<CharacterClass>(properties(c) & kClass);
  }
  /// May NFC change this character or join it to the one before it? Where the answer is no, a text
  /// can be cut before the character, and its parts normalised alone.
  bool nfc_may_change(char32_t c) const { return (properties(c) & kChanging) != 0; }

 private:
  static constexpr std::uint8_t kClass = 3, kChanging = 4;
  using Block = std::array<std::uint8_t, 256>;

  CharacterTable();
  std::uint8_t properties(char32_t c) const { return blocks_[block_of_[c >> 8]][c & 0xFF]; }

  std::array<std::uint16_t, 0x1100> block_of_{};
  std::vector<Block> blocks_;
};

/// Characters before it: below, no character is changed by NFC.
inline constexpr char32_t kFirstChangedByNfc = 0x300;

/// 0 for a character that starts a new sequence.
std::uint8_t combining_class(char32_t c);

/// The canonical decomposition of a character, a step. Hangul syllables are not in it.
struct CanonicalPair {
  char32_t first = 0;
  char32_t second = 0;  ///< 0: only `first`
};
std::optional<CanonicalPair> decomposition(char32_t c);

/// The character that NFC makes of two. Hangul is not in it.
std::optional<char32_t> composition(char32_t first, char32_t second);

}  // namespace farsight
