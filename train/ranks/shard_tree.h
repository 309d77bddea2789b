// Gradients of logical shards, one after the other, summed in the binary tree of tree_sum.h: of four
// (0 + 1) + (2 + 3). What is summed so far waits in log2(shards) buffers, a binary counter.
#pragma once

#include <vector>

#include "core/tensor.h"

namespace farsight {

class ShardTree {
 public:
  /// `shards`: a power of two. `flat`: where every gradient arrives, and the sum in the end.
  ShardTree(const Tensor& flat, int shards);

  /// `flat` holds the next shard's. After the last one it holds the sum of all.
  void add();

 private:
  Tensor flat_;
  int shards_, done_ = 0;
  std::vector<Tensor> levels_;  // of 1, 2, 4, ... shards
};

}  // namespace farsight
