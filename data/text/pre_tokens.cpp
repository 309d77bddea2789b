#include "data/text/pre_tokens.h"

#include "data/text/utf8.h"

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

CharacterClass class_at(const char*& at, const CharacterTable& table) {
  return table.class_of(next_code_point(at));
}

}  // namespace

const char* end_of_pre_token(const char* at, const char* end, const CharacterTable& table) {
  if (*at == '\'') {
    const char* const contraction = end_of_contraction(at, end);
    if (contraction != at) return contraction;
  }
  const char* next = at;
  CharacterClass wanted = class_at(next, table);
  const bool leading_space = *at == ' ' && next != end;
  if (leading_space) {
    const char* second = next;
    const CharacterClass second_class = class_at(second, table);
    if (second_class != CharacterClass::space) {
      wanted = second_class;
      next = second;
    }
  }
  const char* last = at;  // the last character of the run
  while (next != end) {
    const char* after = next;
    if (class_at(after, table) != wanted) break;
    last = next;
    next = after;
  }
  // White space leaves its last character to what follows: \s+(?!\S), else one alone: \s+.
  const bool space_before_text = wanted == CharacterClass::space && next != end && last != at;
  return space_before_text ? last : next;
}

}  // namespace farsight
