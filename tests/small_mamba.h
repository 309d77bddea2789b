// A Mamba of odd sizes that computes in microseconds, and tokens for it.
#pragma once

#include <numeric>
#include <vector>

#include "autograd/gradcheck.h"
#include "models/mamba.h"

namespace farsight {

using Tokens = std::vector<std::int32_t>;

/// Odd sizes; the gate longer than the short convolution, and in one layer only where `some`.
inline MambaConfig small_config(std::int64_t gate_kernel, bool some = false) {
  MambaConfig config{.vocab_size = 13,
                     .d_model = 6,
                     .n_layer = 2,
                     .d_state = 3,
                     .d_conv = 4,
                     .expand = 2,
                     .dt_rank = 2,
                     .gate_kernel = gate_kernel};
  if (some) config.gate_layers = {1};
  return config;
}

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

}  // namespace farsight
