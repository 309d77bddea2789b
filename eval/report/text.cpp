#include "eval/report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "core/json.h"

namespace farsight {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// Bytes of the character that begins here, 1 if none does.
std::size_t character_bytes(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1;
  return std::min(bytes, text.size());
}

/// Controls of the C1 block, and marks that turn the direction of what follows: a name must not
/// reorder the line it stands in.
bool is_hidden_control(std::string_view character) {
  if (character.size() == 2) return character[0] == '\xC2' && character[1] < '\xA0';
  if (character.size() != 3 || character[0] != '\xE2') return false;
  const auto third = static_cast<unsigned char>(character[2]);
  if (character[1] == '\x80') return third >= 0xAA && third <= 0xAE;
  return character[1] == '\x81' && third >= 0xA6 && third <= 0xA9;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || (c & 0x80) != 0;
}

/// Must the character at `i` be escaped to stand for itself?
bool marks_up(std::string_view text, std::size_t i) {
  const char c = text[i];
  if (std::string_view("\\`*[]<>|~&$").find(c) != std::string_view::npos) return true;
  const bool first = i == 0;
  const bool last = i + 1 == text.size();
  if (c == '_') return first || last || !is_word(text[i - 1]) || !is_word(text[i + 1]);
  if (first) return c == '#' || c == '+' || c == '-' || c == '=';
  // "1. " and "1) " begin a numbered list.
  const bool after_digits = std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(i),
                                        [](char d) { return d >= '0' && d <= '9'; });
  return (c == '.' || c == ')') && after_digits && (last || text[i + 1] == ' ');
}

std::string markdown_escaped(std::string_view text) {
  std::string escaped;
  for (std::size_t i = 0; i < text.size(); i++) {
    if (marks_up(text, i)) escaped += '\\';
    escaped += text[i];
  }
  return escaped;
}

/// Within code nothing is markup, but a table is cut at its bars before code is looked for.
std::string markdown_code(std::string_view text) {
  std::string code = "`";
  for (const char c : text) {
    if (c == '|') code += '\\';
    code += c;
  }
  return code + '`';
}

template <class T>
std::string shortest(T value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "nan";
}

}  // namespace

std::string_view symbol_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::none:
      return "";
    case Verdict::pass:
      return "✓";
    case Verdict::fail:
      return "✗";
    case Verdict::missing:
      return "○";
  }
  return "";
}

std::vector<TextSpan> spans_of(std::string_view text) {
  std::vector<TextSpan> spans;
  const auto add = [&](std::string_view piece, bool code) {
    if (!piece.empty()) spans.push_back({piece, code});
  };
  while (true) {
    const std::size_t open = text.find('`');
    const std::size_t close = open == std::string_view::npos ? open : text.find('`', open + 1);
    if (close == std::string_view::npos) break;
    add(text.substr(0, open), false);
    add(text.substr(open + 1, close - open - 1), true);
    text.remove_prefix(close + 1);
  }
  add(text, false);
  return spans;
}

std::string readable(std::string_view text, Breaks breaks) {
  std::string out;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, character_bytes(text));
    const auto first = static_cast<unsigned char>(character.front());
    const bool blank = character == "\n" || character == "\t";
    if (blank) {
      out += breaks == Breaks::kept ? character.front() : ' ';
      text.remove_prefix(1);
    } else if (first < 0x20 || first == 0x7F || !is_utf8(character)) {
      out += kReplacement;
      text.remove_prefix(1);
    } else {
      out += is_hidden_control(character) ? kReplacement : character;
      text.remove_prefix(character.size());
    }
  }
  return out;
}

std::string html_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : readable(text, Breaks::kept)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string html_inline(std::string_view text) {
  std::string html;
  for (const TextSpan& span : spans_of(text)) {
    const std::string escaped = html_escaped(span.text);
    html += span.code ? "<code>" + escaped + "</code>" : escaped;
  }
  return html;
}

std::string markdown_inline(std::string_view text) {
  const std::string line = readable(text);
  std::string markdown;
  for (const TextSpan& span : spans_of(line)) {
    markdown += span.code ? markdown_code(span.text) : markdown_escaped(span.text);
  }
  return markdown;
}

std::string csv_field(std::string_view text) {
  const std::string line = readable(text);
  if (line.find_first_of(",\"") == std::string::npos) return line;
  std::string field = "\"";
  for (const char c : line) {
    if (c == '"') field += '"';
    field += c;
  }
  return field + '"';
}

std::string csv_number(double value) {
  return shortest(value);
}
std::string csv_number(float value) {
  return shortest(value);
}

}  // namespace farsight
