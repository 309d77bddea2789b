// From texts to token ids, as lm-evaluation-harness cuts them (api/model.py _encode_pair; utils.py
// get_rolling_token_windows, make_disjoint_window).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/language/scorer.h"

namespace farsight {

using TokenIds = std::vector<std::int32_t>;
/// A tokenizer's encode, from any number of threads.
using Encode = std::function<TokenIds(std::string_view text)>;

/// Whitespace at the end of the context belongs to the continuation. Both together are encoded, and
/// what the context's own tokens leave over is the continuation, even where the cut falls within a
/// token of the whole. An empty context is the token `prefix`.
ScoreRequest encoded_pair(const Encode& encode, std::string_view context,
                          std::string_view continuation, std::int32_t prefix);

/// Requests that score every token once, `length` at a time: the first after `prefix`, the next full
/// windows after the one token before them, the last after as many as make it full.
std::vector<ScoreRequest> rolling_windows(const TokenIds& tokens, std::int32_t prefix,
                                          std::int64_t length);

}  // namespace farsight
