#include "data/text/pre_tokens.h"

#include <string_view>

#include "core/utf8.h"

namespace farsight {
namespace {

/// Behind 's 't 're 've 'm 'll 'd; `at` itself when none of them is here.
const char* end_of_contraction(const char* at, const char* end) {
  const std::string_view text(at, static_cast<std::size_t>(end - at));
  for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
    if (text.starts_with(ending)) return at + ending.size();
  }
  return at;
}

}  // namespace

const char* PreTokens::end_of_any(const char* at, const char* end) const {
  if (*at == '\'') {
    const char* const contraction = end_of_contraction(at, end);
    if (contraction != at) return contraction;
  }
  const auto class_at = [this](const char*& c) {
    const std::uint8_t found = class_of_byte(*c);
    if (found == kNotAscii) return table_.class_of(next_code_point(c));
    c++;
    return static_cast<CharacterClass>(found);
  };
  const char* next = at;
  CharacterClass wanted = class_at(next);
  if (*at == ' ' && next != end) {
    const char* second = next;
    const CharacterClass second_class = class_at(second);
    if (second_class != CharacterClass::space) {
      wanted = second_class;
      next = second;
    }
  }
  const char* last = at;  // the last character of the run
  while (next != end) {
    const char* after = next;
    if (class_at(after) != wanted) break;
    last = next;
    next = after;
  }
  // White space leaves its last character to what follows: \s+(?!\S), else one alone: \s+.
  const bool before_text = wanted == CharacterClass::space && next != end && last != at;
  return before_text ? last : next;
}

}  // namespace farsight
