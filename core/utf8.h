// UTF-8 (RFC 3629): what is valid, and code points out of valid text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace farsight {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

/// Where valid UTF-8 ends, from 0: the first byte that belongs to no whole character (overlong forms,
/// surrogates and code points above U+10FFFF are none). Nothing when all of it is valid.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

/// The text with U+FFFD in the place of what is invalid: one for every longest beginning of a
/// character that was not ended, and for every other byte, as the Unicode standard recommends (3.9)
/// and Python and Rust do.
std::string replace_invalid_utf8(std::string_view text);

/// Appends a code point, which must not be a surrogate.
void append_utf8(std::string& text, char32_t code_point);

/// The code point that begins at `at`, which is moved behind it. The text must be valid UTF-8 and
/// not end here.
inline char32_t next_code_point(const char*& at) {
  const auto byte = [&](int i) { return static_cast<unsigned char>(at[i]); };
  const auto tail = [&](int i) { return char32_t{byte(i)} & 0x3F; };
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    at += 1;
    return lead;
  }
  char32_t c = 0;
  if (lead < 0xE0) {
    c = (lead & 0x1F) << 6 | tail(1);
    at += 2;
  } else if (lead < 0xF0) {
    c = (lead & 0x0F) << 12 | tail(1) << 6 | tail(2);
    at += 3;
  } else {
    c = (lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3);
    at += 4;
  }
  return c;
}

/// Is this byte the first of a character?
inline bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) != 0x80;
}

}  // namespace farsight
