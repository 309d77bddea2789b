// A Mamba of odd sizes that computes in microseconds.
#pragma once

#include <cstdint>

#include "models/mamba.h"

namespace farsight {

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

}  // namespace farsight
