// How the CPU kernels of ops/weight_matrix.h walk through the matrix: rows in parallel, entry by
// entry, a vector of neighbouring channels at a time.
#pragma once

#include <algorithm>

#include "core/lanes.h"
#include "core/parallel.h"
#include "ops/weight_matrix.h"

namespace farsight::cpu {

/// Every asked entry: entry(t, s) for s <= t, else 0.
template <class A, class Entry>
void fill_rows(const MatrixArgs& m, const Entry& entry) {
  parallel_for(m.rows, [&](std::int64_t r) {
    const std::int64_t t = m.row + r;
    A* out = static_cast<A*>(m.m) + r * m.T;
    for (std::int64_t s = 0; s < m.T; s++) {
      out[s] = s <= t ? entry(t, s) : A{};
    }
  });
}

/// The mean over the asked channels; weights(c, lanes) are those of the channels [c, c + lanes).
template <class A, class Weights>
A channel_mean(const MatrixArgs& m, const Weights& weights) {
  Lanes<A> sum = {};
  for (std::int64_t c = 0; c < m.channels; c += kLanes<A>) {
    const int lanes = static_cast<int>(std::min<std::int64_t>(kLanes<A>, m.channels - c));
    Lanes<A> w = weights(m.channel + c, lanes);
    for (int i = lanes; i < kLanes<A>; i++) {
      w[i] = 0;
    }
    sum += m.absolute ? (w < 0 ? -w : w) : w;
  }
  return sum_lanes<A>(sum) / static_cast<A>(m.channels);
}

/// Channels [c, c + lanes) of row `row` of a tensor [rows, D].
template <class A>
Lanes<A> load_channels(const void* from, std::int64_t row, std::int64_t D, std::int64_t c,
                       int lanes) {
  return load_lanes(static_cast<const A*>(from) + row * D + c, lanes);
}

}  // namespace farsight::cpu
