#include "models/history.h"

#include <algorithm>

namespace farsight {

Tensor advance_history(const Tensor& before, const Tensor& x) {
  const std::int64_t B = x.dim(0), T = x.dim(1), D = x.dim(2), keep = before.dim(1);
  const Tensor after = Tensor::empty(before.shape(), before.dtype(), before.device(), "state");
  const Tensor to = after.reshape({B * keep, D}), old = before.reshape({B * keep, D});
  const Tensor seen = x.reshape({B * T, D});
  const std::int64_t fresh = std::min(T, keep), kept = keep - fresh;
  for (std::int64_t b = 0; b < B; b++) {
    to.range(b * keep, kept).copy_from(old.range(b * keep + fresh, kept));
    to.range(b * keep + kept, fresh).copy_from(seen.range(b * T + T - fresh, fresh));
  }
  return after;
}

}  // namespace farsight
