// The attention-like matrices of one layer on the GPU: their means over all channels, in f32, from
// the operation's arguments (ops/weight_matrix.h). The target is 50 ms at 512 tokens, 5 s at 4096.
#pragma once

#include <vector>

#include "bench/gpu_lines.h"

namespace farsight::bench {

/// Mamba-130M with 1 and 4 times its state, RWKV-153M, Hyena-153M, Pythia-133M.
std::vector<GpuLine> gpu_matrix_lines();

}  // namespace farsight::bench
