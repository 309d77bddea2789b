// Text that somebody else chose (names of runs and tasks, settings, messages), made fit for each
// form of a report.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "eval/report/document.h"

namespace farsight {

/// "✓", "✗" or "○": colour is never the only sign of a verdict; nothing where there is none.
std::string_view symbol_of(Verdict verdict);

/// A piece of a text: what stands between two backquotes is code. A backquote without a partner is
/// itself.
struct TextSpan {
  std::string_view text;
  bool code = false;
};
std::vector<TextSpan> spans_of(std::string_view text);

/// Valid UTF-8 without control characters: what is not becomes U+FFFD; line breaks and tabs become
/// spaces, or stay.
enum class Breaks { to_spaces, kept };
std::string readable(std::string_view text, Breaks breaks = Breaks::to_spaces);

/// For HTML and SVG, in elements and in quoted attributes.
std::string html_escaped(std::string_view text);

/// The same, with spans of code in <code>.
std::string html_inline(std::string_view text);

/// For GitHub's Markdown, on one line, anywhere in it (also in a table).
std::string markdown_inline(std::string_view text);

/// A field of a CSV file (RFC 4180), on one line.
std::string csv_field(std::string_view text);

/// A number for CSV: the fewest digits that read back to the same bits; "nan" for what is not
/// finite.
std::string csv_number(double value);
std::string csv_number(float value);

}  // namespace farsight
