// y = [a; b]: the columns of b behind those of a, the reverse of split (autograd/tape.h).
//
//   a: [..., A], b: [..., B] of one type, rows may be strided    y: [..., A + B]
// Gradients: da and db are the columns of dy. No kernel of its own: copies there, sums back.
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor join_columns(const Tensor& a, const Tensor& b);

}  // namespace farsight
