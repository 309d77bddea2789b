// One member of a JSON object, out of a line of a corpus. core/json.h reads values of any shape; this
// reads one string, an order of magnitude faster, and holds the rest of the line to the grammar alone.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

namespace farsight {

/// Why a line is not what it should be, and at which of its bytes.
struct LineFault : std::runtime_error {
  LineFault(std::size_t at, const std::string& sentence) : std::runtime_error(sentence), byte(at) {}
  std::size_t byte;
};

/// Appends the string that the object `line` (valid UTF-8) has under `field` to `text`. An escaped
/// surrogate without its other half becomes U+FFFD if `replace`, and is a fault otherwise; returns
/// how many were replaced. Throws LineFault for what is not a JSON object (RFC 8259), a key that the
/// object has twice, more than 64 levels, a field that is missing or no string.
std::int64_t append_json_field(std::string_view line, std::string_view field, bool replace,
                               std::string& text);

}  // namespace farsight
