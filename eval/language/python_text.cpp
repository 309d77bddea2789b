#include "eval/language/python_text.h"

#include <algorithm>

#include "core/utf8.h"

namespace farsight {
namespace {

/// A code point and its bytes.
struct Character {
  char32_t value = 0;
  std::size_t bytes = 1;
};

/// A byte within a character is none that anything here looks for.
Character character_at(std::string_view text, std::size_t at) {
  if (!begins_character(text[at])) return {kReplacementCharacter, 1};
  const char* next = text.data() + at;
  const char32_t value = next_code_point(next);
  return {value, static_cast<std::size_t>(next - text.data()) - at};
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

/// Of U+0100 ... U+017F: pairs, the capital first, at even or at odd numbers.
bool capital_is_odd(char32_t c) {
  return (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e);
}
bool pairs(char32_t c) {
  return c >= 0x100 && c <= 0x17e && c != 0x130 && c != 0x131 && c != 0x138 && c != 0x149 &&
         c != 0x178;
}

char32_t lower(char32_t c) {
  if ((c >= 'A' && c <= 'Z') || (c >= 0xc0 && c <= 0xde && c != 0xd7)) return c + 32;
  if (c == 0x178) return 0xff;
  if (pairs(c) && (c % 2 == 1) == capital_is_odd(c)) return c + 1;
  if (c >= 0x391 && c <= 0x3a9 && c != 0x3a2) return c + 32;
  if (c >= 0x410 && c <= 0x42f) return c + 32;
  if (c >= 0x400 && c <= 0x40f) return c + 80;
  return c;
}

char32_t upper(char32_t c) {
  if ((c >= 'a' && c <= 'z') || (c >= 0xe0 && c <= 0xfe && c != 0xf7)) return c - 32;
  if (c == 0xff) return 0x178;
  if (pairs(c) && (c % 2 == 1) != capital_is_odd(c)) return c - 1;
  if (c >= 0x3b1 && c <= 0x3c9 && c != 0x3c2) return c - 32;
  if (c >= 0x430 && c <= 0x44f) return c - 32;
  if (c >= 0x450 && c <= 0x45f) return c - 80;
  return c;
}

}  // namespace

std::size_t space_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return 0;
  const Character c = character_at(text, at);
  return is_space(c.value) ? c.bytes : 0;
}

std::string_view stripped_right(std::string_view text) {
  while (!text.empty()) {
    std::size_t last = text.size() - 1;
    while (last > 0 && !begins_character(text[last])) {
      last--;
    }
    if (space_at(text, last) != text.size() - last) break;
    text.remove_suffix(text.size() - last);
  }
  return text;
}

std::string_view stripped(std::string_view text) {
  text = stripped_right(text);
  while (const std::size_t bytes = space_at(text, 0)) {
    text.remove_prefix(bytes);
  }
  return text;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  std::size_t at = 0;
  for (std::size_t found; (found = text.find(from, at)) != std::string_view::npos;) {
    result += text.substr(at, found - at);
    result += to;
    at = found + from.size();
  }
  return result += text.substr(at);
}

std::string capitalized(std::string_view text) {
  std::string result;
  for (std::size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    const char32_t other = at == 0 ? upper(c.value) : lower(c.value);
    if (other == c.value) {
      result += text.substr(at, c.bytes);
    } else {
      append_utf8(result, other);
    }
    at += c.bytes;
  }
  return result;
}

std::int64_t characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), begins_character);
}

std::int64_t words(std::string_view text) {
  std::int64_t runs = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t space = space_at(text, at);
    if (space == 0) {
      at++;
      continue;
    }
    runs++;
    while (const std::size_t more = space_at(text, at)) {
      at += more;
    }
  }
  return runs + 1;
}

}  // namespace farsight
