// Contexts and continuations as token ids, and the windows over a long text.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "eval/language/encoding.h"

namespace farsight {
namespace {

/// A byte a token, but "ab" is one: encodings of two texts are not those of both.
TokenIds toy_encode(std::string_view text) {
  TokenIds ids;
  for (std::size_t i = 0; i < text.size(); i++) {
    const bool pair = text.substr(i, 2) == "ab";
    ids.push_back(pair ? 500 : static_cast<unsigned char>(text[i]));
    i += pair ? 1 : 0;
  }
  return ids;
}

TEST_CASE("language: whitespace at the end of the context goes to the continuation") {
  const ScoreRequest request = encoded_pair(toy_encode, "x \n", " y", 0);
  CHECK(request.context == TokenIds{'x'});
  CHECK(request.continuation == TokenIds{' ', '\n', ' ', 'y'});
}

TEST_CASE("language: the continuation is what the context's tokens leave of the whole") {
  // The whole is x ab c: three tokens; the context alone x a: two.
  const ScoreRequest request = encoded_pair(toy_encode, "xa", "bc", 0);
  CHECK(request.context == TokenIds{'x', 'a'});
  CHECK(request.continuation == TokenIds{'c'});
  CHECK(encoded_pair(toy_encode, "a", "b", 0).continuation.empty());
}

TEST_CASE("language: an empty context is the prefix") {
  const ScoreRequest request = encoded_pair(toy_encode, "", "hi", 7);
  CHECK(request.context == TokenIds{7});
  CHECK(request.continuation == TokenIds{'h', 'i'});
  const ScoreRequest blank = encoded_pair(toy_encode, "  ", "hi", 7);
  CHECK(blank.context == TokenIds{7});
  CHECK(blank.continuation == TokenIds{' ', ' ', 'h', 'i'});
  CHECK(encoded_pair(toy_encode, "x", "", 7).continuation.empty());
}

/// Word for word from the formula: what predicts token i, and how much of it is seen.
struct Naive {
  std::int64_t first_seen;  ///< -1: the prefix
  std::int64_t window_end;
};
Naive naive_window(std::int64_t i, std::int64_t count, std::int64_t L) {
  const std::int64_t window = i / L, begin = window * L, end = std::min(begin + L, count);
  if (window == 0) return {-1, end};
  const bool full = end - begin == L;
  return {full ? begin - 1 : end - L - 1, end};
}

TEST_CASE("language: rolling windows score every token once, from as much as the rule says") {
  for (std::int64_t L = 1; L <= 6; L++) {
    for (std::int64_t count = 0; count <= 20; count++) {
      TokenIds tokens(static_cast<std::size_t>(count));
      std::iota(tokens.begin(), tokens.end(), 100);
      std::int64_t scored = 0;
      for (const ScoreRequest& window : rolling_windows(tokens, 0, L)) {
        const auto cont = static_cast<std::int64_t>(window.continuation.size());
        const Naive naive = naive_window(scored, count, L);
        CAPTURE(L);
        CAPTURE(count);
        CHECK(scored + cont == naive.window_end);
        CHECK(window.continuation ==
              TokenIds(tokens.begin() + scored, tokens.begin() + scored + cont));
        if (naive.first_seen < 0) {
          CHECK(window.context == TokenIds{0});
        } else {
          CHECK(window.context ==
                TokenIds(tokens.begin() + naive.first_seen, tokens.begin() + scored));
          CHECK(static_cast<std::int64_t>(window.context.size()) + cont == L + 1);
        }
        scored += cont;
      }
      CHECK(scored == count);
    }
  }
}

}  // namespace
}  // namespace farsight
