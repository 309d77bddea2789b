// Tokens and indices to feed a model with, and parameters on which every formula shows.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "autograd/gradcheck.h"
#include "models/parameters.h"

namespace farsight {

using Tokens = std::vector<std::int32_t>;

/// First values moved off the constants, so that no norm weight is 1 and no two channels alike.
inline void shake(ParameterStore& parameters, std::uint64_t seed) {
  parameters.initialise(seed);
  std::uint64_t stream = 0;
  for (const ParameterStore::Entry& entry : parameters.entries()) {
    const Tensor noise = random_normal(entry.parameter->shape, DType::f64, seed, stream++);
    Tensor& master = entry.parameter->master;
    const bool wide = master.dtype() == DType::f64;
    for (std::int64_t i = 0; i < entry.count; i++) {
      const double move = 0.4 * noise.data<double>()[i];
      if (wide) {
        master.data<double>()[i] += move;
      } else {
        master.data<float>()[i] += static_cast<float>(move);
      }
    }
  }
  parameters.refresh_operands();
}

inline Tokens some_tokens(std::int64_t count, std::int64_t vocabulary) {
  Tokens tokens;
  for (std::int64_t i = 0; i < count; i++) {
    tokens.push_back(static_cast<std::int32_t>((i * i * 7 + 3 * i + 5) % vocabulary));
  }
  return tokens;
}

inline Tensor indices(const Tokens& values, const Shape& shape) {
  return Tensor::from<std::int32_t>(values, shape);
}

inline Tensor all_rows(std::int64_t count) {
  Tokens rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), 0);
  return indices(rows, {count});
}

/// Columns [begin, begin + length) of B rows of T tokens, as one piece [B, length].
inline Tensor piece_of(const Tokens& tokens, std::int64_t B, std::int64_t begin,
                       std::int64_t length) {
  const std::int64_t T = static_cast<std::int64_t>(tokens.size()) / B;
  Tokens piece;
  for (std::int64_t b = 0; b < B; b++) {
    const auto from = tokens.begin() + b * T + begin;
    piece.insert(piece.end(), from, from + length);
  }
  return indices(piece, {B, length});
}

}  // namespace farsight
