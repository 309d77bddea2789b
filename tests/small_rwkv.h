// Tiny RWKVs of odd sizes in both forms, and their logits.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "autograd/tape.h"
#include "models/rwkv.h"
#include "ops/linear.h"
#include "tests/small_mamba.h"

namespace farsight {

inline constexpr RwkvConfig kAuthors{
    .vocab_size = 13, .d_model = 6, .n_layer = 3, .d_ff = 10, .l_max = 90, .embed_dropout = 0.25};
inline constexpr RwkvConfig kPublished{.form = RwkvForm::published,
                                       .vocab_size = 13,
                                       .d_model = 6,
                                       .n_layer = 3,
                                       .d_ff = 14,
                                       .embed_dropout = 0};
inline constexpr RwkvConfig kBoth[] = {kAuthors, kPublished};

inline std::string form_of(const RwkvConfig& config) {
  return config.published() ? "published" : "authors";
}

/// Logits [B * T, V] of every position.
inline Tensor all_logits(Rwkv& rwkv, const Tensor& tokens, const Tensor* position = nullptr,
                         RwkvState* state = nullptr, const Tensor* pass = nullptr) {
  const NoTape inference;
  const Tensor rows = all_rows(tokens.elements());
  return linear(rwkv.features(tokens, rows, position, state, pass), rwkv.head().operand)
      .to(DType::f64);
}

/// Largest difference, relative to the largest value.
inline double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.elements() == b.elements());
  double most = 0, scale = 0;
  for (std::int64_t i = 0; i < a.elements(); i++) {
    const double difference = std::abs(a.data<double>()[i] - b.data<double>()[i]);
    most = std::isfinite(difference) ? std::max(most, difference) : INFINITY;
    scale = std::max(scale, std::abs(b.data<double>()[i]));
  }
  return most / scale;
}

}  // namespace farsight
