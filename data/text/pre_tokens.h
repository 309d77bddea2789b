// GPT-2's expression, by hand: the words of a text, within which merges are looked for.
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#pragma once

#include <array>

#include "data/text/unicode.h"

namespace farsight {

class PreTokens {
 public:
  PreTokens() : table_(CharacterTable::instance()) {}

  /// The end of the match that begins at `at`, which is before `end`. The text must be valid UTF-8.
  const char* end_of_match(const char* at, const char* end) const {
    // Nearly all of most texts: ASCII letters after a space or without one.
    const char* const begin = at + (*at == ' ');
    const char* next = begin;
    while (next != end && class_of_byte(*next) == letter)
      next++;
    const bool word = next != begin && (next == end || class_of_byte(*next) != not_ascii);
    return word ? next : end_of_any(at, end);
  }

 private:
  // Those of CharacterClass, and what begins a longer character.
  static constexpr std::uint8_t letter = static_cast<std::uint8_t>(CharacterClass::letter);
  static constexpr std::uint8_t not_ascii = 4;
  static constexpr std::array<std::uint8_t, 256> kByteClasses = [] {
    std::array<std::uint8_t, 256> classes{};
    for (std::size_t byte = 0; byte < classes.size(); byte++) {
      const std::size_t lower = byte | 0x20;
      const bool is_space = byte == ' ' || (byte >= '\t' && byte <= '\r');
      const CharacterClass found = lower >= 'a' && lower <= 'z' ? CharacterClass::letter
                                   : byte >= '0' && byte <= '9' ? CharacterClass::number
                                   : is_space                   ? CharacterClass::space
                                                                : CharacterClass::other;
      classes[byte] = byte < 0x80 ? static_cast<std::uint8_t>(found) : not_ascii;
    }
    return classes;
  }();

  static std::uint8_t class_of_byte(char byte) {
    return kByteClasses[static_cast<unsigned char>(byte)];
  }
  const char* end_of_any(const char* at, const char* end) const;

  const CharacterTable& table_;
};

}  // namespace farsight
