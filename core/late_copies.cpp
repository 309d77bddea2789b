#include "core/late_copies.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/device_calls.h"

namespace farsight {

LateCopies::LateCopies(std::vector<std::int64_t> counts, Device device)
    : counts_(std::move(counts)),
      device_(device),
      each_(std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0})) {
  if (device == Device::cuda) {
    memory_ = static_cast<double*>(
        device_calls().pinned(kMost * each_ * static_cast<std::int64_t>(sizeof(double))));
  } else {
    own_.resize(static_cast<std::size_t>(kMost * each_));
    memory_ = own_.data();
  }
}

void LateCopies::send(std::initializer_list<const Tensor*> tensors) {
  check(under_way() < kMost, "LateCopies: {} are under way already", kMost);
  check(tensors.size() == counts_.size(), "LateCopies: expected {} tensors, got {}", counts_.size(),
        tensors.size());
  Sent sent{.place = next_ * each_};
  double* to = memory_ + sent.place;
  std::size_t i = 0;
  for (const Tensor* t : tensors) {
    const std::int64_t count = counts_[i++];
    check(t->dense() && t->elements() == count && t->device() == device_,
          "LateCopies: expected {} numbers on {}, got {} on {}", count, name_of(device_),
          t->shape(), name_of(t->device()));
    const double* from = t->data<double>();
    if (device_ == Device::cuda) {
      sent.arrival = device_calls().fetch(to, from, t->bytes());
    } else if (device_ == Device::cpu) {
      std::copy_n(from, count, to);
    }
    to += count;
  }
  next_ = (next_ + 1) % kMost;
  sent_.push_back(sent);
}

std::vector<double> LateCopies::receive() {
  check(!sent_.empty(), "LateCopies: nothing is under way");
  const Sent sent = sent_.front();
  sent_.pop_front();
  if (device_ == Device::cuda) device_calls().wait(sent.arrival);
  return {memory_ + sent.place, memory_ + sent.place + each_};
}

}  // namespace farsight
