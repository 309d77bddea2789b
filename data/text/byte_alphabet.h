// GPT-2 writes the 256 bytes as 256 visible characters, so that a vocabulary is text: a byte that is
// a visible Latin-1 character stands for itself, the others are U+0100, U+0101, ... in their order
// (openai/gpt-2, src/encoder.py, bytes_to_unicode).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace farsight {

/// The character of a byte, 0 to 255, in UTF-8: "A", and "Ġ" for the space.
std::string name_of_byte(int byte);

/// The bytes that a name of the vocabulary stands for; nothing when a character of it stands for
/// none. `name` must be valid UTF-8.
std::optional<std::string> bytes_of_token(std::string_view name);

}  // namespace farsight
