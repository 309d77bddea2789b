// GPT-2's expression, by hand: where a text may be cut into words before merges are looked for.
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
#pragma once

#include <string_view>

#include "data/text/unicode.h"

namespace farsight {

/// The end of the match that begins at `at`, which is before `end`. The text must be valid UTF-8.
const char* end_of_pre_token(const char* at, const char* end, const CharacterTable& table);

}  // namespace farsight
