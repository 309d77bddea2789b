// The gradients of all ranks become one, while the backward that makes them still runs.
//
//   sync.expect();                // before the last backward of a step
//   tape.backward(...);           // buckets leave as their gradients are done
//   parameters.complete_gradients();
//   sync.finish();                // the flat gradient is the sum of all ranks'
//   sync.sum(tally);
//
// On CPU ranks the sums are made over the rendezvous sockets, by a thread of their own, in a fixed
// tree; on GPUs by NCCL, on a stream of their own: finish() then waits for nothing on the host. Every
// rank ends with the same bits.
//
// Reproducible (ranks.h has the tree): the gradient is the sum of S logical shards in a binary tree
// whose lower levels a rank sums by itself and whose upper levels are summed between ranks, so that
// 1, 2, 4 and 8 ranks get the same bits from the same S. It begins when the last shard is done, so
// nothing overlaps; among more than two GPUs every rank gathers the others' gradients and sums them
// in the order of the tree, because NCCL promises no order.
#pragma once

#include <deque>
#include <memory>
#include <span>

#include "core/device_ranks.h"
#include "models/parameters.h"
#include "train/ranks/gradient_buckets.h"
#include "train/ranks/ranks.h"

namespace farsight {

struct GradientSyncOptions {
  std::int64_t bucket_bytes = std::int64_t{32} << 20;
  bool ordered = false;    ///< summed in the tree's order on GPUs too
  bool scattered = false;  ///< ZeRO-1: each rank needs the sum of its own part alone (owned_part)
};

/// What rank `rank` of `world` owns of `count` elements where each updates a part alone: equal parts
/// of whole groups of 16, and the last rank what is left.
Bucket owned_part(std::int64_t count, int rank, int world);

class GradientSync {
 public:
  /// `gpus`: of a store on a GPU. All must outlive this.
  GradientSync(Ranks& ranks, DeviceRanks* gpus, ParameterStore& parameters,
               const GradientSyncOptions& options);
  ~GradientSync();
  GradientSync(const GradientSync&) = delete;
  GradientSync& operator=(const GradientSync&) = delete;

  void expect();
  void finish();
  /// Every element of `numbers` (f64, dense, on the store's device) becomes the sum of all ranks'.
  /// The last of a step.
  void sum(const Tensor& numbers);
  /// The same at any time when no bucket is under way.
  void add_up(const Tensor& numbers);
  /// Every rank's own part of a flat buffer reaches all: after an update of parts.
  void share_parts(const Tensor& flat);
  /// Of the oldest step that this was not asked of: what its sums took after its backward was done,
  /// which no computing hid. Waits for them.
  double exposed_ms();
  /// Throws Error(peer) when a rank was lost.
  void require_all() const;

  Ranks& ranks() { return ranks_; }
  const GradientSyncOptions& options() const { return options_; }
  int buckets() const { return static_cast<int>(order_.buckets().size()); }
  /// Buckets that left before the end of the last backward.
  int early_buckets() const { return order_.early(); }

 private:
  class Courier;
  void send(const Bucket& bucket);
  void reduce_on_sockets(const Bucket& bucket);
  void reduce_parts();
  void gather_and_add(const Bucket& bucket);

  Ranks& ranks_;
  DeviceRanks* gpus_;
  ParameterStore& parameters_;
  GradientSyncOptions options_;
  Tensor gathered_;  // room for everybody's bucket, where it is summed in order
  std::unique_ptr<Courier> courier_;
  std::deque<double> exposed_;  // milliseconds, or a pair of moments of the GPU
  int steps_ = 0;
  double finished_ = 0;  // seconds_now(), when finish() began
  BucketOrder order_;
};

}  // namespace farsight
