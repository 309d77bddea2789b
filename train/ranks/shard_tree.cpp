#include "train/ranks/shard_tree.h"

#include <bit>

#include "core/check.h"
#include "ops/elementwise.h"

namespace farsight {

ShardTree::ShardTree(const Tensor& flat, int shards) : flat_(flat), shards_(shards) {
  check(shards >= 1 && std::has_single_bit(static_cast<unsigned>(shards)),
        "ShardTree: shards must be a power of two, got {}", shards);
  for (int of = 1; of < shards; of *= 2)
    levels_.push_back(Tensor::empty(flat.shape(), flat.dtype(), flat.device(), "gradients.shards"));
}

void ShardTree::add() {
  std::size_t level = 0;
  for (; (static_cast<unsigned>(done_) >> level & 1u) != 0; level++) {
    const std::int64_t count = flat_.elements();
    const ElementwiseArgs a{.kind = ElementwiseKind::add,
                            .a = levels_[level].ptr(),
                            .b = flat_.ptr(),
                            .y = flat_.ptr(),
                            .rows = 1,
                            .columns = count,
                            .a_stride = count,
                            .b_stride = count,
                            .type = flat_.dtype()};
    FARSIGHT_LAUNCH(elementwise_forward, flat_.device(), a);
  }
  done_ = (done_ + 1) % shards_;
  if (done_ != 0) levels_[level].copy_from(flat_);
}

}  // namespace farsight
