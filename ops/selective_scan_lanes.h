// What the forward and the backward of the CPU scan share: a vector of channels in a chunk of time.
//
// Within a chunk the states take turns: one state walks through the chunk in a register while the
// chunk's steps stay in the first-level cache. Every value of a channel is one lane; B and C, which
// all channels share, are broadcast.
#pragma once

#include <algorithm>
#include <array>

#include "core/lanes.h"
#include "core/tensor.h"
#include "ops/selective_scan.h"

namespace farsight::cpu {

template <class T>
class ScanChannels {
 public:
  using A = accumulator_t<T>;
  using V = Lanes<A>;
  template <class X>
  using PerStep = std::array<X, kScanChunk>;

  /// The channels [d, d + lanes) of all sequences.
  ScanChannels(const ScanArgs& a, std::int64_t d)
      : a_(a),
        d_(d),
        lanes_(static_cast<int>(std::min<std::int64_t>(kLanes<A>, a.channels - d))),
        D_(load_parameter(a.D)),
        bias_(load_parameter(a.bias)) {}

  /// -exp(A_log[d, n]) log2(e): exp(dt A) = 2^(dt decay).
  V decay(std::int64_t n) const {
    return -exp(gather(static_cast<const A*>(a_.A_log), d_, n)) * static_cast<A>(kLog2E);
  }

  // States are stored [batch, channels, N].
  V load_state(const void* from, std::int64_t b, std::int64_t n) const {
    if (from == nullptr) return V{};
    return gather(static_cast<const A*>(from), b * a_.channels + d_, n);
  }
  void store_state(void* to, std::int64_t b, std::int64_t n, V h, bool add) const {
    for (int i = 0; i < lanes_ && to != nullptr; i++) {
      A& at = static_cast<A*>(to)[(b * a_.channels + d_ + i) * a_.N + n];
      at = (add ? at : A{}) + h[i];
    }
  }

  A* checkpoint(std::int64_t b, std::int64_t chunk, std::int64_t n) const {
    return static_cast<A*>(a_.checkpoints) + ((b * a_.chunks + chunk) * a_.N + n) * a_.channels +
           d_;
  }

  /// Fills the steps of the chunk that begins at `first`; returns how many there are.
  int load_chunk(std::int64_t b, std::int64_t first) {
    const int count = static_cast<int>(std::min(kScanChunk, a_.T - first));
    for (int i = 0; i < count; i++) {
      const std::int64_t row = b * a_.T + first + i;
      const auto at = static_cast<std::size_t>(i);
      u_[at] = load(a_.u, a_.u_stride, row);
      delta_[at] = load(a_.delta, a_.delta_stride, row);
      gate_[at] = a_.gate ? load(a_.gate, a_.gate_stride, row) : broadcast<A>(1);
      p_[at] = delta_[at] * gate_[at] + bias_;
      dt_[at] = softplus(p_[at]);
      input_[at] = dt_[at] * u_[at];
      y_[at] = D_ * u_[at];
      starts_[at] = a_.position != nullptr && a_.position[row] == 0;
    }
    return count;
  }

  V load(const void* from, std::int64_t stride, std::int64_t row) const {
    return load_lanes(static_cast<const T*>(from) + row * stride + d_, lanes_);
  }
  void store(void* to, std::int64_t stride, std::int64_t row, V v, bool add) const {
    if (to != nullptr) put_lanes(static_cast<T*>(to) + row * stride + d_, v, lanes_, add);
  }
  const T* B(std::int64_t row) const { return static_cast<const T*>(a_.B) + row * a_.B_stride; }
  const T* C(std::int64_t row) const { return static_cast<const T*>(a_.C) + row * a_.C_stride; }

 protected:
  V load_parameter(const void* from) const {
    return load_lanes(static_cast<const A*>(from) + d_, lanes_);
  }
  V gather(const A* from, std::int64_t first_row, std::int64_t n) const {
    V v = {};
    for (int i = 0; i < lanes_; i++) {
      v[i] = from[(first_row + i) * a_.N + n];
    }
    return v;
  }

  const ScanArgs& a_;
  std::int64_t d_;
  int lanes_;
  V D_, bias_;
  // Of the chunk: dt = softplus(p), p = delta gate + bias, input = dt u; y gathers D u + sum C h.
  PerStep<V> u_, delta_, gate_, p_, dt_, input_, y_;
  PerStep<bool> starts_;
};

}  // namespace farsight::cpu
