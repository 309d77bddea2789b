#include "train/ranks/gradient_buckets.h"

#include <algorithm>

#include "core/check.h"

namespace farsight {

std::vector<Bucket> cut_buckets(std::int64_t flat_count, std::int64_t bucket_elements) {
  check(bucket_elements >= 1, "cut_buckets: a bucket has at least one element, got {}",
        bucket_elements);
  std::vector<Bucket> buckets;
  for (std::int64_t end = flat_count; end > 0;) {
    const std::int64_t begin = std::max<std::int64_t>(0, end - bucket_elements);
    buckets.push_back({begin, end - begin});
    end = begin;
  }
  return buckets;
}

BucketOrder::BucketOrder(ParameterStore& parameters, std::vector<Bucket> buckets,
                         std::function<void(const Bucket&)> go)
    : parameters_(parameters),
      buckets_(std::move(buckets)),
      go_(std::move(go)),
      buckets_of_(parameters.entries().size()),
      all_(buckets_.size()),
      ready_(parameters.entries().size()) {
  for (std::size_t i = 0; i < parameters.entries().size(); i++) {
    const ParameterStore::Entry& entry = parameters.entries()[i];
    for (std::size_t b = 0; b < buckets_.size(); b++) {
      const bool apart = entry.offset >= buckets_[b].begin + buckets_[b].count ||
                         entry.offset + entry.count <= buckets_[b].begin;
      if (apart) continue;
      buckets_of_[i].push_back(b);
      all_[b]++;
    }
    entry.parameter->master.grad->ready = [this, i] { ready(i); };
  }
}

BucketOrder::~BucketOrder() {
  for (const ParameterStore::Entry& entry : parameters_.entries())
    entry.parameter->master.grad->ready = nullptr;
}

void BucketOrder::arm() {
  waiting_ = all_;
  std::fill(ready_.begin(), ready_.end(), false);
  next_ = 0;
  early_ = 0;
  armed_ = true;
}

void BucketOrder::ready(std::size_t entry) {
  // One that nothing was written to becomes zero later (ParameterStore::complete_gradients).
  if (!armed_ || ready_[entry] || !parameters_.entries()[entry].parameter->master.grad->filled) {
    return;
  }
  ready_[entry] = true;
  for (const std::size_t bucket : buckets_of_[entry])
    waiting_[bucket]--;
  const std::size_t before = next_;
  while (next_ < buckets_.size() && waiting_[next_] == 0)
    go_on();
  early_ += static_cast<int>(next_ - before);
}

void BucketOrder::go_on() {
  go_(buckets_[next_]);
  next_++;
}

void BucketOrder::finish() {
  if (!armed_) arm();
  while (next_ < buckets_.size())
    go_on();
  armed_ = false;
}

}  // namespace farsight
