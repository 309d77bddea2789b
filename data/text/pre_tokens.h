// GPT-2's expression, by hand: the words of a text, within which merges are looked for.
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

#include "data/text/unicode.h"

namespace farsight {

class PreTokens {
 public:
  PreTokens() : table_(CharacterTable::instance()) {}

  /// The end of the match that begins at `at`, which is before `end`. The text must be valid UTF-8.
  const char* end_of_match(const char* at, const char* end) const {
    // Nearly all of most texts: ASCII letters after a space or without one.
    const char* const begin = at + (*at == ' ');
    const char* next = end_of_letters(begin, end);
    const bool word = next != begin && (next == end || class_of_byte(*next) != kNotAscii);
    return word ? next : end_of_any(at, end);
  }

 private:
  // Those of CharacterClass, and what begins a longer character.
  static constexpr std::uint8_t kLetter = static_cast<std::uint8_t>(CharacterClass::letter);
  static constexpr std::uint8_t kNotAscii = 4;
  static constexpr std::array<std::uint8_t, 256> kByteClasses = [] {
    std::array<std::uint8_t, 256> classes{};
    for (std::size_t byte = 0; byte < classes.size(); byte++) {
      const std::size_t lower = byte | 0x20;
      const bool is_space = byte == ' ' || (byte >= '\t' && byte <= '\r');
      const CharacterClass found = lower >= 'a' && lower <= 'z' ? CharacterClass::letter
                                   : byte >= '0' && byte <= '9' ? CharacterClass::number
                                   : is_space                   ? CharacterClass::space
                                                                : CharacterClass::other;
      classes[byte] = byte < 0x80 ? static_cast<std::uint8_t>(found) : kNotAscii;
    }
    return classes;
  }();

  static std::uint8_t class_of_byte(char byte) {
    return kByteClasses[static_cast<unsigned char>(byte)];
  }
  /// Behind the ASCII letters that begin at `at`, eight bytes at a time.
  static const char* end_of_letters(const char* at, const char* end) {
    constexpr std::uint64_t kOnes = 0x0101010101010101u;
    while (end - at >= 8) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, at, 8);
      const std::uint64_t lower = (eight | 0x20 * kOnes) & 0x7F * kOnes;
      // A byte's highest bit: from 'a' on, behind 'z', not ASCII.
      const std::uint64_t from_a = lower + (0x80 - 'a') * kOnes;
      const std::uint64_t behind_z = lower + (0x80 - 'z' - 1) * kOnes;
      const std::uint64_t others = ~(from_a & ~behind_z & ~eight) & 0x80 * kOnes;
      if (others != 0) return at + std::countr_zero(others) / 8;
      at += 8;
    }
    while (at != end && class_of_byte(*at) == kLetter)
      at++;
    return at;
  }
  const char* end_of_any(const char* at, const char* end) const;

  const CharacterTable& table_;
};

}  // namespace farsight
