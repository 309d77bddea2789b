#include "data/text/byte_alphabet.h"

#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/utf8.h"

namespace farsight {
namespace {

using Alphabet = std::array<char32_t, 256>;

bool is_visible(char32_t c) {
  return (c >= '!' && c <= '~') || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

constexpr char32_t kFirstSubstitute = 0x100;

const Alphabet& alphabet() {
  static const Alphabet characters = [] {
    Alphabet made{};
    char32_t substitute = kFirstSubstitute;
    for (char32_t byte = 0; byte < made.size(); byte++) {
      made[byte] = is_visible(byte) ? byte : substitute++;
    }
    return made;
  }();
  return characters;
}

}  // namespace

std::string name_of_byte(int byte) {
  check(byte >= 0 && byte < 256, "name_of_byte: byte must be 0 to 255, got {}", byte);
  std::string name;
  append_utf8(name, alphabet()[static_cast<std::size_t>(byte)]);
  return name;
}

std::optional<std::string> bytes_of_token(std::string_view name) {
  std::string bytes;
  const char* const end = name.data() + name.size();
  for (const char* at = name.data(); at != end;) {
    const char32_t c = next_code_point(at);
    const auto found = std::find(alphabet().begin(), alphabet().end(), c);
    if (found == alphabet().end()) return std::nullopt;
    bytes += static_cast<char>(found - alphabet().begin());
  }
  return bytes;
}

}  // namespace farsight
