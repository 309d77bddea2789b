#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "train/next_token.h"

namespace farsight {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// How often each token comes in `count` draws.
std::map<std::int32_t, int> drawn(const std::vector<float>& logits, const Sampling& sampling,
                                  int count) {
  std::map<std::int32_t, int> times;
  for (int i = 0; i < count; i++) {
    const Draw draw{.seed = 7, .sample = 3, .index = static_cast<std::uint64_t>(i)};
    times[next_token(logits, sampling, draw)]++;
  }
  return times;
}

}  // namespace

TEST_CASE("next token: the most likely at temperature 0, the first of equals") {
  CHECK(next_token(std::vector<float>{-1, 4, 2, 4}, {}, {}) == 1);
  CHECK(next_token(std::vector<float>{-kInfinity, -3}, {}, {}) == 1);
  CHECK(next_token(std::vector<float>{5}, {.temperature = 1}, {}) == 0);
}

TEST_CASE("next token: drawn with the probabilities of the softmax") {
  const std::vector<float> logits = {0.5f, -kInfinity, 2.0f, -1.0f};
  for (const double temperature : {0.5, 1.0, 3.0}) {
    constexpr int kCount = 20000;
    std::map<std::int32_t, int> times = drawn(logits, {.temperature = temperature}, kCount);
    double total = 0;
    for (const float l : logits) {
      total += std::exp(static_cast<double>(l) / temperature);
    }
    for (std::int32_t token = 0; token < 4; token++) {
      const double p =
          std::exp(static_cast<double>(logits[static_cast<std::size_t>(token)]) / temperature) /
          total;
      INFO("token ", token, " at temperature ", temperature);
      // Five standard deviations.
      CHECK(std::abs(times[token] - p * kCount) <= 5 * std::sqrt(p * (1 - p) * kCount) + 1e-9);
    }
  }
}

TEST_CASE("next token: top_k leaves the k most likely and what equals the last of them") {
  const std::vector<float> logits = {1, 3, 2, 2, 0};
  const auto left = [&](std::int64_t k) {
    std::vector<std::int32_t> tokens;
    for (const auto& [token, times] : drawn(logits, {.temperature = 5, .top_k = k}, 500)) {
      tokens.push_back(token);
    }
    return tokens;
  };
  CHECK(left(1) == std::vector<std::int32_t>{1});
  CHECK(left(2) == std::vector<std::int32_t>{1, 2, 3});
  CHECK(left(3) == std::vector<std::int32_t>{1, 2, 3});
  CHECK(left(5) == std::vector<std::int32_t>{0, 1, 2, 3, 4});
  CHECK(left(0) == left(5));
  CHECK(left(9) == left(5));
}

TEST_CASE("next token: top_p leaves the fewest tokens that have the share") {
  // Probabilities 0.5, 0.3, 0.15, 0.05, not in this order.
  const std::vector<float> logits = {std::log(0.15f), std::log(0.5f), std::log(0.05f),
                                     std::log(0.3f)};
  const auto left = [&](double p, std::int64_t k = 0) {
    std::vector<std::int32_t> tokens;
    const Sampling sampling{.temperature = 1, .top_k = k, .top_p = p};
    for (const auto& [token, times] : drawn(logits, sampling, 800)) {
      tokens.push_back(token);
    }
    return tokens;
  };
  CHECK(left(0) == std::vector<std::int32_t>{1});
  CHECK(left(0.4) == std::vector<std::int32_t>{1});
  CHECK(left(0.6) == std::vector<std::int32_t>{1, 3});
  CHECK(left(0.9) == std::vector<std::int32_t>{0, 1, 3});
  CHECK(left(1) == std::vector<std::int32_t>{0, 1, 2, 3});
  // Of what top_k leaves, 0.5 is more than 0.6.
  CHECK(left(0.6, 2) == std::vector<std::int32_t>{1});
}

TEST_CASE("next token: a draw is its seed, row and index, and nothing else") {
  std::vector<float> logits(50);
  for (std::size_t i = 0; i < logits.size(); i++) {
    logits[i] = static_cast<float>(i % 7);
  }
  const Sampling sampling{.temperature = 2};
  const auto token = [&](const Draw& draw) { return next_token(logits, sampling, draw); };
  int different_seed = 0, different_row = 0, different_index = 0;
  for (std::uint64_t i = 0; i < 50; i++) {
    const Draw draw{.seed = 1, .sample = 2, .index = i};
    CHECK(token(draw) == token(draw));
    different_seed += token(draw) != token({.seed = 2, .sample = 2, .index = i});
    different_row += token(draw) != token({.seed = 1, .sample = 3, .index = i});
    different_index += token(draw) != token({.seed = 1, .sample = 2, .index = i + 1});
  }
  CHECK(different_seed > 20);
  CHECK(different_row > 20);
  CHECK(different_index > 20);
}

}  // namespace farsight
