#include <algorithm>
#include <vector>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/causal_conv1d.h"

namespace farsight {
namespace cpu {
namespace {

/// y[t] = start + sum_j w[j] x[t + j] for t < T. Eight outputs at a time stay in registers, so that
/// an x is loaded once for eight products.
template <class A>
void correlate(const Lanes<A>* x, const Lanes<A>* w, std::int64_t K, Lanes<A> start, Lanes<A>* y,
               std::int64_t T) {
  constexpr int kTile = 8;
  std::int64_t t = 0;
  for (; t + kTile <= T; t += kTile) {
    Lanes<A> sum[kTile];
#pragma GCC unroll 8
    for (int i = 0; i < kTile; i++) {
      sum[i] = start;
    }
    for (std::int64_t j = 0; j < K; j++) {
      const Lanes<A> tap = w[j];
#pragma GCC unroll 8
      for (int i = 0; i < kTile; i++) {
        sum[i] += tap * x[t + j + i];
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < kTile; i++) {
      y[t + i] = sum[i];
    }
  }
  for (; t < T; t++) {
    Lanes<A> sum = start;
    for (std::int64_t j = 0; j < K; j++) {
      sum += w[j] * x[t + j];
    }
    y[t] = sum;
  }
}

/// One vector of channels of one row, between two sequence starts.
template <class T>
class Channels {
 public:
  using A = accumulator_t<T>;
  using V = Lanes<A>;

  Channels(const Conv1dArgs& a, std::int64_t d)
      : a_(a),
        d_(d),
        count_(static_cast<int>(std::min<std::int64_t>(kLanes<A>, a.D - d))),
        taps_(static_cast<std::size_t>(a.K)),
        reversed_(static_cast<std::size_t>(a.K)) {
    const A* w = static_cast<const A*>(a.w);
    for (std::int64_t j = 0; j < a.K; j++) {
      V tap = {};
      for (int i = 0; i < count_; i++) {
        tap[i] = w[(d + i) * a.K + j];
      }
      taps_[static_cast<std::size_t>(j)] = tap;
      reversed_[static_cast<std::size_t>(a.K - 1 - j)] = tap;
    }
    bias_ = load_lanes(static_cast<const A*>(a.bias) + d, count_);
  }

  /// Calls body(begin, end) for every sequence in row b.
  template <class Body>
  void for_each_sequence(std::int64_t b, const Body& body) const {
    std::int64_t begin = 0;
    for (std::int64_t t = 1; t <= a_.T; t++) {
      if (t < a_.T && (a_.position == nullptr || a_.position[b * a_.T + t] != 0)) continue;
      body(begin, t);
      begin = t;
    }
  }

  void forward(std::int64_t b) {
    T* y = static_cast<T*>(a_.y);
    T* pre = static_cast<T*>(a_.pre);
    for_each_sequence(b, [&](std::int64_t begin, std::int64_t end) {
      load_x(b, begin, end);
      out_.resize(static_cast<std::size_t>(end - begin));
      correlate<A>(x_.data(), taps_.data(), a_.K, bias_, out_.data(), end - begin);
      for (std::int64_t t = begin; t < end; t++) {
        const V m = out_[static_cast<std::size_t>(t - begin)];
        const std::int64_t at = (b * a_.T + t) * a_.D + d_;
        if (pre != nullptr) store_lanes(pre + at, m, count_);
        store_lanes(y + at, a_.silu ? silu(m) : m, count_);
      }
    });
  }

  /// Adds this row's share of dw (K vectors) and dbias (the last) to `share`.
  void backward(std::int64_t b, V* share) {
    for_each_sequence(b, [&](std::int64_t begin, std::int64_t end) {
      const std::int64_t T_here = end - begin;
      load_x(b, begin, end);
      load_c(b, begin, end);
      for (std::int64_t t = 0; t < T_here; t++) {
        share[a_.K] += c_[static_cast<std::size_t>(a_.K - 1 + t)];
      }
      add_dw(T_here, share);
      if (a_.dx == nullptr && a_.dhistory == nullptr) return;
      // c_ holds K-1 zeros on both sides: one correlation gives dx for the history and the row.
      out_.resize(static_cast<std::size_t>(a_.K - 1 + T_here));
      correlate<A>(c_.data(), reversed_.data(), a_.K, V{}, out_.data(), a_.K - 1 + T_here);
      store_dx(b, begin, end);
    });
  }

 private:
  bool reaches_history(std::int64_t b, std::int64_t begin) const {
    return begin == 0 && a_.history != nullptr &&
           (a_.position == nullptr || a_.position[b * a_.T] != 0);
  }

  /// x_[i] = x at time begin - (K-1) + i.
  void load_x(std::int64_t b, std::int64_t begin, std::int64_t end) {
    const T* x = static_cast<const T*>(a_.x);
    const T* history = static_cast<const T*>(a_.history);
    x_.assign(static_cast<std::size_t>(a_.K - 1 + end - begin), V{});
    if (reaches_history(b, begin)) {
      for (std::int64_t j = 0; j < a_.K - 1; j++) {
        x_[static_cast<std::size_t>(j)] =
            load_lanes(history + (b * (a_.K - 1) + j) * a_.D + d_, count_);
      }
    }
    for (std::int64_t t = begin; t < end; t++) {
      x_[static_cast<std::size_t>(a_.K - 1 + t - begin)] =
          load_lanes(x + (b * a_.T + t) * a_.x_stride + d_, count_);
    }
  }

  /// c_[K-1+i] = dy silu'(m) at time begin + i, between K-1 zeros on either side.
  void load_c(std::int64_t b, std::int64_t begin, std::int64_t end) {
    const T* dy = static_cast<const T*>(a_.dy);
    const T* pre = static_cast<const T*>(a_.pre);
    c_.assign(static_cast<std::size_t>(2 * (a_.K - 1) + end - begin), V{});
    if (a_.silu && pre == nullptr) {
      out_.resize(static_cast<std::size_t>(end - begin));
      correlate<A>(x_.data(), taps_.data(), a_.K, bias_, out_.data(), end - begin);
    }
    for (std::int64_t t = begin; t < end; t++) {
      const std::int64_t at = (b * a_.T + t) * a_.D + d_;
      V c = load_lanes(dy + at, count_);
      if (a_.silu) {
        c *= silu_derivative(pre != nullptr ? load_lanes(pre + at, count_)
                                            : out_[static_cast<std::size_t>(t - begin)]);
      }
      c_[static_cast<std::size_t>(a_.K - 1 + t - begin)] = c;
    }
  }

  /// dw[j] += sum_t c[t] x[t + j]: a correlation whose taps are c, eight j at a time.
  void add_dw(std::int64_t T_here, V* share) {
    out_.resize(static_cast<std::size_t>(a_.K));
    correlate<A>(x_.data(), c_.data() + (a_.K - 1), T_here, V{}, out_.data(), a_.K);
    for (std::int64_t j = 0; j < a_.K; j++) {
      share[j] += out_[static_cast<std::size_t>(j)];
    }
  }

  void store_dx(std::int64_t b, std::int64_t begin, std::int64_t end) {
    T* dhistory = static_cast<T*>(a_.dhistory);
    T* dx = static_cast<T*>(a_.dx);
    if (dhistory != nullptr && begin == 0) {
      const bool reached = reaches_history(b, begin);
      for (std::int64_t j = 0; j < a_.K - 1; j++) {
        put_lanes(dhistory + (b * (a_.K - 1) + j) * a_.D + d_,
                  reached ? out_[static_cast<std::size_t>(j)] : V{}, count_, a_.dhistory_add);
      }
    }
    for (std::int64_t t = begin; t < end && dx != nullptr; t++) {
      put_lanes(dx + (b * a_.T + t) * a_.dx_stride + d_,
                out_[static_cast<std::size_t>(a_.K - 1 + t - begin)], count_, a_.dx_add);
    }
  }

  const Conv1dArgs& a_;
  std::int64_t d_;
  int count_;
  V bias_;
  std::vector<V> taps_, reversed_;
  std::vector<V> x_, c_, out_;
};

template <class T>
void forward(const Conv1dArgs& a) {
  using A = accumulator_t<T>;
  const std::int64_t blocks = lane_blocks<A>(a.D);
  parallel_for(a.shares * blocks, [&](std::int64_t task) {
    const std::int64_t share = task / blocks;
    Channels<T> channels(a, task % blocks * kLanes<A>);
    for (std::int64_t b = a.B * share / a.shares; b < a.B * (share + 1) / a.shares; b++) {
      channels.forward(b);
    }
  });
}

template <class T>
void backward(const Conv1dArgs& a) {
  using A = accumulator_t<T>;
  const std::int64_t blocks = lane_blocks<A>(a.D);
  A* partial = static_cast<A*>(a.partial);
  parallel_for(a.shares * blocks, [&](std::int64_t task) {
    const std::int64_t share = task / blocks, d = task % blocks * kLanes<A>;
    const int count = static_cast<int>(std::min<std::int64_t>(kLanes<A>, a.D - d));
    Channels<T> channels(a, d);
    std::vector<Lanes<A>> sums(static_cast<std::size_t>(a.K + 1), Lanes<A>{});
    for (std::int64_t b = a.B * share / a.shares; b < a.B * (share + 1) / a.shares; b++) {
      channels.backward(b, sums.data());
    }
    for (std::int64_t j = 0; j <= a.K; j++) {
      store_lanes(partial + (share * (a.K + 1) + j) * a.D + d, sums[static_cast<std::size_t>(j)],
                  count);
    }
  });
  A *dw = static_cast<A*>(a.dw), *dbias = static_cast<A*>(a.dbias);
  const auto sum = [&](std::int64_t j, std::int64_t d) {
    A total = {};
    for (std::int64_t share = 0; share < a.shares; share++) {
      total += partial[(share * (a.K + 1) + j) * a.D + d];
    }
    return total;
  };
  parallel_blocks(a.D, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t d = begin; d < end; d++) {
      for (std::int64_t j = 0; j < a.K && dw != nullptr; j++) {
        dw[d * a.K + j] = (a.dw_add ? dw[d * a.K + j] : A{}) + sum(j, d);
      }
      if (dbias != nullptr) dbias[d] = (a.dbias_add ? dbias[d] : A{}) + sum(a.K, d);
    }
  });
}

}  // namespace

void causal_conv1d_forward(const Conv1dArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void causal_conv1d_backward(const Conv1dArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace cpu
}  // namespace farsight
