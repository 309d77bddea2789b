// What a convolution remembers of a sequence that is fed in pieces.
#pragma once

#include "core/tensor.h"

namespace farsight {

/// The last `before.dim(1)` inputs after x [B, T, D] was seen, given those before it. Copies: such
/// states are small. Outside the tape.
Tensor advance_history(const Tensor& before, const Tensor& x);

}  // namespace farsight
