#include "core/utf8.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace farsight {
namespace {

/// What stands at the beginning of a text: a whole character, or something else of `bytes` bytes
/// that no character contains.
struct Beginning {
  std::size_t bytes = 1;
  bool valid = false;
};

Beginning beginning_of(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xC2 || lead > 0xF4) return {1, false};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte alone decides between overlong, surrogate, too large and right.
  const unsigned char least = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned char most = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (text.size() < 2 || byte(1) < least || byte(1) > most) return {1, false};
  for (std::size_t i = 2; i < length; i++) {
    if (i >= text.size() || begins_character(text[i])) return {i, false};
  }
  return {length, true};
}

/// How many of the first bytes are ASCII.
std::size_t ascii_at(std::string_view text) {
  constexpr std::size_t kBlock = 64;
  std::size_t at = 0;
  for (; at + kBlock <= text.size(); at += kBlock) {
    const char* const block = text.data() + at;
    unsigned char any = 0;  // a loop that the compiler makes vectors of
    for (std::size_t i = 0; i < kBlock; i++) {
      any |= static_cast<unsigned char>(block[i]);
    }
    if (any >= 0x80) break;
  }
  for (; at + 8 <= text.size(); at += 8) {
    std::uint64_t eight = 0;
    std::memcpy(&eight, text.data() + at, 8);
    const std::uint64_t high = eight & 0x8080808080808080u;
    if (high != 0) return at + static_cast<std::size_t>(std::countr_zero(high)) / 8;
  }
  while (at < text.size() && static_cast<unsigned char>(text[at]) < 0x80) {
    at++;
  }
  return at;
}

}  // namespace

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (static_cast<unsigned char>(text[at]) < 0x80) {
      at += ascii_at(text.substr(at));
      continue;
    }
    const Beginning character = beginning_of(text.substr(at));
    if (!character.valid) return at;
    at += character.bytes;
  }
  return std::nullopt;
}

std::string replace_invalid_utf8(std::string_view text) {
  std::string valid;
  while (const auto bad = first_invalid_utf8(text)) {
    valid.append(text.substr(0, *bad));
    append_utf8(valid, kReplacementCharacter);
    text.remove_prefix(*bad);
    text.remove_prefix(beginning_of(text).bytes);
  }
  return valid.append(text);
}

void append_utf8(std::string& text, char32_t c) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12);
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18);
    put(0x80 | (c >> 12 & 0x3F));
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

}  // namespace farsight
