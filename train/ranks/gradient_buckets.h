// Which parts of the flat gradient travel together, and which of them may go.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "models/parameters.h"

namespace farsight {

/// Consecutive elements of the flat gradient.
struct Bucket {
  std::int64_t begin = 0, count = 0;
  friend bool operator==(const Bucket&, const Bucket&) = default;
};

/// Buckets of `bucket_elements` from the end of the buffer, where a backward begins; the last one,
/// at the beginning, takes what is left. The same on all ranks.
std::vector<Bucket> cut_buckets(std::int64_t flat_count, std::int64_t bucket_elements);

/// Follows a backward by the hooks of the parameters' gradients (Grad::ready). A bucket goes when all
/// parameters in it are done and the buckets before it have gone: the order is the same on all ranks.
/// While it is not armed, a hook costs a test.
class BucketOrder {
 public:
  /// `go(bucket)` runs on the thread of the backward. One such object a store.
  BucketOrder(ParameterStore& parameters, std::vector<Bucket> buckets,
              std::function<void(const Bucket&)> go);
  BucketOrder(const BucketOrder&) = delete;
  BucketOrder& operator=(const BucketOrder&) = delete;
  ~BucketOrder();

  /// The backward that follows is the last that adds to these gradients.
  void arm();
  /// All gradients are complete: whatever has not gone goes.
  void finish();

  const std::vector<Bucket>& buckets() const { return buckets_; }
  /// Buckets that went before finish(), in the last step.
  int early() const { return early_; }

 private:
  void ready(std::size_t entry);
  void go_on();

  ParameterStore& parameters_;
  std::vector<Bucket> buckets_;
  std::function<void(const Bucket&)> go_;
  std::vector<std::vector<std::size_t>> buckets_of_;  // by parameter
  std::vector<int> all_, waiting_;                    // parameters of a bucket; not ready
  std::vector<bool> ready_;                           // by parameter
  std::size_t next_ = 0;
  bool armed_ = false;
  int early_ = 0;
};

}  // namespace farsight
