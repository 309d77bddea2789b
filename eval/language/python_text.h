// What Python's str does, for rules of evaluation that were written in it. Texts are valid UTF-8; a
// character is a code point.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace farsight {

/// Bytes of the whitespace character at text[at]: what str.isspace() and the pattern \s take for one;
/// 0 for any other.
std::size_t space_at(std::string_view text, std::size_t at);

/// str.rstrip(), str.strip(): views.
std::string_view stripped_right(std::string_view text);
std::string_view stripped(std::string_view text);

/// str.replace(from, to): from left to right, what was put in is not looked at again.
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

/// str.capitalize(): the first character in upper case, the others in lower case. Of scripts with two
/// cases it knows Latin (to U+017F), Greek and Cyrillic; others stay as they are.
std::string capitalized(std::string_view text);

/// len(text).
std::int64_t characters(std::string_view text);

/// len(re.split(r"\s+", text)): empty strings at the ends count.
std::int64_t words(std::string_view text);

}  // namespace farsight
