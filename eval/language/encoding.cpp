#include "eval/language/encoding.h"

#include <algorithm>

#include "core/check.h"
#include "eval/language/python_text.h"

namespace farsight {

ScoreRequest encoded_pair(const Encode& encode, std::string_view context,
                          std::string_view continuation, std::int32_t prefix) {
  const std::string_view kept = stripped_right(context);
  const TokenIds whole = encode(std::string(context) + std::string(continuation));
  ScoreRequest request;
  request.context = kept.empty() ? TokenIds{prefix} : encode(kept);
  const std::size_t before = kept.empty() ? 0 : std::min(request.context.size(), whole.size());
  request.continuation.assign(whole.begin() + static_cast<std::ptrdiff_t>(before), whole.end());
  return request;
}

std::vector<ScoreRequest> rolling_windows(const TokenIds& tokens, std::int32_t prefix,
                                          std::int64_t length) {
  check(length >= 1, "rolling_windows: length must be at least 1, got {}", length);
  const auto count = static_cast<std::int64_t>(tokens.size());
  const auto ids = [&](std::int64_t begin, std::int64_t end) {
    return TokenIds(tokens.begin() + begin, tokens.begin() + end);
  };
  std::vector<ScoreRequest> windows;
  for (std::int64_t begin = 0; begin < count;) {
    const std::int64_t end = std::min(begin + length, count);
    windows.push_back({.context = begin == 0 ? TokenIds{prefix} : ids(end - length - 1, begin),
                       .continuation = ids(begin, end)});
    begin = end;
  }
  return windows;
}

}  // namespace farsight
