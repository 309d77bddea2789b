// A learned kernel of a long convolution made into taps (Fu et al., "Simple hardware-efficient long
// convolutions", 2023; models/modules/flashconv.py of ZetangForward/Global_Mamba): small weights
// are squashed to 0, and the skip connection D x becomes part of the tap of the current token.
//
//   w[d, K-1-l] = sign(k[d,l]) max(|k[d,l]| - threshold, 0) + (l = 0: skip[d])
//
//   k: [D, K], by lag    skip: [D]    w: [D, K], as causal_conv1d takes them; all f32 (f64)
// Gradients: dk[d,l] = dw[d, K-1-l] where |k| > threshold, else 0;  dskip[d] = dw[d, K-1].
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor shrunk_taps(const Tensor& k, const Tensor& skip, double threshold);

struct ShrunkTapsArgs {
  const void *k = nullptr, *skip = nullptr, *dw = nullptr;
  void *w = nullptr, *dk = nullptr, *dskip = nullptr;  // a null gradient is not wanted
  bool dk_add = false, dskip_add = false;
  std::int64_t D = 0, K = 0;
  double threshold = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(shrunk_taps_forward, ShrunkTapsArgs)
FARSIGHT_KERNEL(shrunk_taps_backward, ShrunkTapsArgs)
