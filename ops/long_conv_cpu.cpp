// The correlations of long_conv.h, for a vector of channels at a time: directly while sequences are
// short, by Fourier transforms of twice the length when they are long.
#include <algorithm>
#include <bit>
#include <vector>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/long_conv.h"
#include "ops/long_conv_fourier.h"

namespace farsight {
namespace cpu {
namespace {

constexpr std::int64_t kDirectSteps = 1024;  // up to here the direct sum takes less time

/// out[i] (+)= sum_{j < min(K, T - i)} p[i + j] q[j] for i < T; p has kTile zeros behind its T. Eight
/// outputs at a time stay in registers, so that a p is loaded once for eight products.
constexpr int kTile = 8;
template <class A>
void correlate(const Lanes<A>* p, const Lanes<A>* q, std::int64_t K, Lanes<A>* out, std::int64_t T,
               std::int64_t outputs, bool add) {
  for (std::int64_t i = 0; i < outputs; i += kTile) {
    Lanes<A> sum[kTile] = {};
    const std::int64_t end = std::min(K, T - i);
    for (std::int64_t j = 0; j < end; j++) {
      const Lanes<A> tap = q[j];
#pragma GCC unroll 8
      for (int r = 0; r < kTile; r++) {
        sum[r] += tap * p[i + j + r];
      }
    }
    for (int r = 0; r < kTile && i + r < outputs; r++) {
      out[i + r] = add ? out[i + r] + sum[r] : sum[r];
    }
  }
}

/// One vector of channels of the whole batch.
template <class T>
class Channels {
 public:
  using A = accumulator_t<T>;
  using V = Lanes<A>;

  /// `fourier`: null for the direct sum.
  Channels(const LongConvArgs& a, const Fourier<A>* fourier, std::int64_t d)
      : a_(a),
        fourier_(fourier),
        d_(d),
        count_(static_cast<int>(std::min<std::int64_t>(kLanes<A>, a.D - d))),
        taps_(std::min(a.K, a.T)) {
    bias_ = load_lanes(static_cast<const A*>(a.bias) + d, count_);
  }

  void forward() {
    const auto w = [this](std::int64_t b, std::int64_t t) { return w_at(b, t); };
    const auto store = [this](std::int64_t b, std::int64_t t, V sum) {
      const V m = sum + bias_ * w_at(b, t);
      const std::int64_t at = (b * a_.T + t) * a_.D + d_;
      if (a_.m != nullptr) store_lanes(static_cast<T*>(a_.m) + at, m, count_);
      store_lanes(static_cast<T*>(a_.y) + at, m * load(a_.post, a_.post_stride, b, t), count_);
    };
    with_taps(w, store, true);
  }

  void backward() {
    if (a_.dpost != nullptr) {
      for_each_step([&](std::int64_t b, std::int64_t t) {
        const V m = load(a_.m, a_.D, b, t);
        put(a_.dpost, a_.dpost_stride, b, t, load(a_.dy, a_.dy_stride, b, t) * m, a_.dpost_add);
      });
    }
    const auto dm = [this](std::int64_t b, std::int64_t t) { return dm_at(b, t); };
    const auto store = [this](std::int64_t b, std::int64_t t, V sum) {
      const V dw = sum + bias_ * dm_at(b, t);
      if (a_.dv != nullptr) {
        put(a_.dv, a_.dv_stride, b, t, dw * load(a_.pre, a_.pre_stride, b, t), a_.dv_add);
      }
      if (a_.dpre != nullptr) {
        put(a_.dpre, a_.dpre_stride, b, t, dw * load(a_.v, a_.v_stride, b, t), a_.dpre_add);
      }
    };
    if (a_.dv != nullptr || a_.dpre != nullptr) with_taps(dm, store, false);
    if (a_.dk != nullptr || a_.dbias != nullptr) differentiate_taps();
  }

 private:
  V load(const void* x, std::int64_t stride, std::int64_t b, std::int64_t t) const {
    return load_lanes(static_cast<const T*>(x) + (b * a_.T + t) * stride + d_, count_);
  }
  void put(void* x, std::int64_t stride, std::int64_t b, std::int64_t t, V value, bool add) const {
    put_lanes(static_cast<T*>(x) + (b * a_.T + t) * stride + d_, value, count_, add);
  }
  V w_at(std::int64_t b, std::int64_t t) const {
    return load(a_.v, a_.v_stride, b, t) * load(a_.pre, a_.pre_stride, b, t);
  }
  V dm_at(std::int64_t b, std::int64_t t) const {
    return load(a_.dy, a_.dy_stride, b, t) * load(a_.post, a_.post_stride, b, t);
  }
  V tap(std::int64_t l) const {
    return load_lanes(static_cast<const A*>(a_.k) + l * a_.D + d_, count_);
  }
  template <class Body>
  void for_each_step(const Body& body) const {
    for (std::int64_t b = 0; b < a_.B; b++) {
      for (std::int64_t t = 0; t < a_.T; t++) {
        body(b, t);
      }
    }
  }

  /// store(b, t, sum_l k[l] x(b, t - l)), or with x(b, t + l) when not causal.
  template <class X, class Store>
  void with_taps(const X& x, const Store& store, bool causal) const {
    const std::int64_t last = a_.T - 1;
    if (fourier_ == nullptr) {
      std::vector<V> taps, p(static_cast<std::size_t>(a_.T + kTile)), out(p.size());
      for (std::int64_t l = 0; l < taps_; l++) {
        taps.push_back(tap(l));
      }
      for (std::int64_t b = 0; b < a_.B; b++) {
        for (std::int64_t t = 0; t < a_.T; t++) {
          p[static_cast<std::size_t>(causal ? last - t : t)] = x(b, t);
        }
        correlate<A>(p.data(), taps.data(), taps_, out.data(), a_.T, a_.T, false);
        for (std::int64_t t = 0; t < a_.T; t++) {
          store(b, t, out[static_cast<std::size_t>(causal ? last - t : t)]);
        }
      }
      return;
    }
    const auto n = static_cast<std::size_t>(fourier_->size());
    Complex<A> taps(n), rows(n);
    const A scale = 1 / static_cast<A>(n);
    for (std::int64_t l = 0; l < taps_; l++) {
      taps.re[static_cast<std::size_t>(l)] = tap(l) * scale;
    }
    fourier_->forward(taps);
    for (std::int64_t b = 0; b < a_.B; b += 2) {
      load_pair(rows, b, x);
      for (std::size_t i = 0; i < n; i++) {
        const V re = rows.re[i], im = rows.im[i];
        const V tap_im = causal ? taps.im[i] : -taps.im[i];
        rows.re[i] = re * taps.re[i] - im * tap_im;
        rows.im[i] = re * tap_im + im * taps.re[i];
      }
      fourier_->inverse(rows);
      for (std::int64_t t = 0; t < a_.T; t++) {
        store(b, t, rows.re[static_cast<std::size_t>(t)]);
        if (b + 1 < a_.B) store(b + 1, t, rows.im[static_cast<std::size_t>(t)]);
      }
    }
  }

  /// Rows b and b + 1 as one complex row, transformed: a real kernel keeps its parts apart.
  template <class X>
  void load_pair(Complex<A>& rows, std::int64_t b, const X& x) const {
    std::ranges::fill(rows.re, V{});
    std::ranges::fill(rows.im, V{});
    for (std::int64_t t = 0; t < a_.T; t++) {
      rows.re[static_cast<std::size_t>(t)] = x(b, t);
      if (b + 1 < a_.B) rows.im[static_cast<std::size_t>(t)] = x(b + 1, t);
    }
    fourier_->forward(rows);
  }

  /// dk, and dbias, which is its first row.
  void differentiate_taps() const {
    std::vector<V> sums(static_cast<std::size_t>(std::max<std::int64_t>(taps_, 1)));
    const auto w = [this](std::int64_t b, std::int64_t t) { return w_at(b, t); };
    const auto dm = [this](std::int64_t b, std::int64_t t) { return dm_at(b, t); };
    if (fourier_ == nullptr) {
      std::vector<V> p(static_cast<std::size_t>(a_.T + kTile)), q(p.size());
      for (std::int64_t b = 0; b < a_.B; b++) {
        for (std::int64_t t = 0; t < a_.T; t++) {
          p[static_cast<std::size_t>(t)] = dm(b, t);
          q[static_cast<std::size_t>(t)] = w(b, t);
        }
        correlate<A>(p.data(), q.data(), a_.T, sums.data(), a_.T, taps_, true);
      }
    } else {
      // Of pairs of rows as complex numbers z = dm, u = w, the real part of z conj(u) belongs to
      // the sum of both rows' correlations.
      const auto n = static_cast<std::size_t>(fourier_->size());
      Complex<A> z(n), u(n), sum(n);
      for (std::int64_t b = 0; b < a_.B; b += 2) {
        load_pair(z, b, dm);
        load_pair(u, b, w);
        for (std::size_t i = 0; i < n; i++) {
          sum.re[i] += z.re[i] * u.re[i] + z.im[i] * u.im[i];
          sum.im[i] += z.im[i] * u.re[i] - z.re[i] * u.im[i];
        }
      }
      fourier_->inverse(sum);
      for (std::int64_t l = 0; l < taps_; l++) {
        sums[static_cast<std::size_t>(l)] = sum.re[static_cast<std::size_t>(l)] / static_cast<A>(n);
      }
    }
    if (a_.dk != nullptr) {
      for (std::int64_t l = 0; l < a_.K; l++) {
        const V value = l < taps_ ? sums[static_cast<std::size_t>(l)] : V{};
        put_lanes(static_cast<A*>(a_.dk) + l * a_.D + d_, value, count_, a_.dk_add);
      }
    }
    if (a_.dbias != nullptr) {
      put_lanes(static_cast<A*>(a_.dbias) + d_, sums[0], count_, a_.dbias_add);
    }
  }

  const LongConvArgs& a_;
  const Fourier<A>* fourier_;
  std::int64_t d_;
  int count_;
  std::int64_t taps_;  // that are reached
  V bias_;
};

template <class T, class Body>
void for_each_channels(const LongConvArgs& a, const Body& body) {
  using A = accumulator_t<T>;
  const bool direct = std::min(a.K, a.T) <= kDirectSteps;
  const auto n = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(2 * a.T)));
  const Fourier<A> fourier(direct ? 0 : n);
  parallel_for(lane_blocks<A>(a.D), [&](std::int64_t block) {
    Channels<T> channels(a, direct ? nullptr : &fourier, block * kLanes<A>);
    body(channels);
  });
}

}  // namespace

void long_conv_forward(const LongConvArgs& a) {
  with_type(a.type, [&]<class T>() {
    for_each_channels<T>(a, [](Channels<T>& channels) { channels.forward(); });
  });
}

void long_conv_backward(const LongConvArgs& a) {
  with_type(a.type, [&]<class T>() {
    for_each_channels<T>(a, [](Channels<T>& channels) { channels.backward(); });
  });
}

void long_conv_step(const LongConvArgs& a) {
  with_type(a.type, [&]<class T>() {
    using A = accumulator_t<T>;
    parallel_for(a.B * lane_blocks<A>(a.D), [&](std::int64_t task) {
      const std::int64_t b = task / lane_blocks<A>(a.D);
      const std::int64_t d = task % lane_blocks<A>(a.D) * kLanes<A>;
      const int count = static_cast<int>(std::min<std::int64_t>(kLanes<A>, a.D - d));
      const auto load = [&](const void* x, std::int64_t stride, std::int64_t t) {
        return load_lanes(static_cast<const T*>(x) + (b * a.T + t) * stride + d, count);
      };
      T* cache = static_cast<T*>(a.cache) + b * a.capacity * a.D + d;
      const Lanes<A> bias = load_lanes(static_cast<const A*>(a.bias) + d, count);
      for (std::int64_t t = 0; t < a.T; t++) {
        const Lanes<A> w = load(a.v, a.v_stride, t) * load(a.pre, a.pre_stride, t);
        const std::int64_t now = a.first + t;
        store_lanes(cache + now * a.D, w, count);
        Lanes<A> m = bias * w;
        for (std::int64_t l = 0; l <= now && l < a.K; l++) {
          m += load_lanes(static_cast<const A*>(a.k) + l * a.D + d, count) *
               load_lanes(cache + (now - l) * a.D, count);
        }
        store_lanes(static_cast<T*>(a.y) + (b * a.T + t) * a.D + d,
                    m * load(a.post, a.post_stride, t), count);
      }
    });
  });
}

}  // namespace cpu
}  // namespace farsight
