#include <algorithm>
#include <array>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/wkv.h"

// A vector of channels walks through time. Sums are kept as e^o a: whatever is added to them is first
// brought to the larger of the two exponents, so that no exponential overflows. Backward goes through
// a chunk once more from its checkpoint, keeping what it passes, and then back.

namespace farsight::cpu {
namespace {

/// Two exponents brought to the larger one: `left` and `right` are e^(itself - max).
template <class V>
struct Balance {
  V max, left, right;
  Balance(V l, V r) {
    const V apart = l - r;
    const V one = V{} + 1;
    max = apart > 0 ? l : r;
    const V smaller = exp(apart > 0 ? -apart : apart);
    left = apart > 0 ? one : smaller;
    right = apart > 0 ? smaller : one;
  }
};

template <class T>
class WkvChannels {
 public:
  using A = accumulator_t<T>;
  using V = Lanes<A>;

  /// The channels [d, d + lanes) of all sequences.
  WkvChannels(const WkvArgs& a, std::int64_t d)
      : a_(a), d_(d), lanes_(static_cast<int>(std::min<std::int64_t>(kLanes<A>, a.D - d))) {
    w_ = -exp(load_lanes(static_cast<const A*>(a.decay) + d, lanes_));
    first_ = load_lanes(static_cast<const A*>(a.first) + d, lanes_);
  }

  struct State {
    V a = {}, b = {}, o = broadcast<A>(kWkvNothing);
  };
  State load_state(const void* from, std::int64_t index) const {
    const A* at = static_cast<const A*>(from) + index * 3 * a_.D + d_;
    return {load_lanes(at, lanes_), load_lanes(at + a_.D, lanes_),
            load_lanes(at + 2 * a_.D, lanes_)};
  }
  void store_state(void* to, std::int64_t index, const State& s) const {
    A* at = static_cast<A*>(to) + index * 3 * a_.D + d_;
    store_lanes(at, s.a, lanes_);
    store_lanes(at + a_.D, s.b, lanes_);
    store_lanes(at + 2 * a_.D, s.o, lanes_);
  }
  /// Where the state before chunk `chunk` >= 1 is.
  std::int64_t checkpoint(std::int64_t b, std::int64_t chunk) const {
    return b * (a_.chunks - 1) + chunk - 1;
  }

  V load(const void* from, std::int64_t stride, std::int64_t row) const {
    return load_lanes(static_cast<const T*>(from) + row * stride + d_, lanes_);
  }
  void store(void* to, std::int64_t stride, std::int64_t row, V v, bool add) const {
    if (to != nullptr) put_lanes(static_cast<T*>(to) + row * stride + d_, v, lanes_, add);
  }
  bool starts(std::int64_t row) const { return a_.position != nullptr && a_.position[row] == 0; }

  /// e^w times the sums, and this step's term.
  State after(const State& s, V k, V v) const {
    const Balance<V> to(s.o + w_, k);
    return {to.left * s.a + to.right * v, to.left * s.b + to.right, to.max};
  }

 protected:
  const WkvArgs& a_;
  std::int64_t d_;
  int lanes_;
  V w_, first_;
};

template <class T>
class WkvForward : WkvChannels<T> {
  using Base = WkvChannels<T>;
  using Base::a_, Base::first_;
  using typename Base::V, typename Base::State;

 public:
  using Base::Base;

  void sequence(std::int64_t b) {
    State s;
    if (a_.initial_state != nullptr) s = this->load_state(a_.initial_state, b);
    for (std::int64_t t = 0; t < a_.T; t++) {
      const std::int64_t row = b * a_.T + t;
      if (a_.checkpoints != nullptr && t > 0 && t % kWkvChunk == 0) {
        this->store_state(a_.checkpoints, this->checkpoint(b, t / kWkvChunk), s);
      }
      if (this->starts(row)) s = State{};
      const V k = this->load(a_.k, a_.k_stride, row), v = this->load(a_.v, a_.v_stride, row);
      const Balance<V> to(s.o, first_ + k);
      V y = (to.left * s.a + to.right * v) / (to.left * s.b + to.right);
      if (a_.r != nullptr) y *= sigmoid(this->load(a_.r, a_.r_stride, row));
      this->store(a_.y, a_.D, row, y, false);
      s = this->after(s, k, v);
    }
    if (a_.last_state != nullptr) this->store_state(a_.last_state, b, s);
  }
};

template <class T>
class WkvBackward : WkvChannels<T> {
  using Base = WkvChannels<T>;
  using Base::a_, Base::d_, Base::first_, Base::lanes_, Base::w_;
  using typename Base::A, typename Base::V, typename Base::State;

 public:
  using Base::Base;

  void sequence(std::int64_t b) {
    adjoint_ = State{};
    for (std::int64_t chunk = a_.chunks - 1; chunk >= 0; chunk--) {
      const std::int64_t begin = chunk * kWkvChunk, end = std::min(a_.T, begin + kWkvChunk);
      State s;
      if (chunk > 0) s = this->load_state(a_.checkpoints, this->checkpoint(b, chunk));
      for (std::int64_t t = begin; t < end; t++) {
        s = rebuild(s, b * a_.T + t, steps_[index(t - begin)]);
      }
      for (std::int64_t t = end - 1; t >= begin; t--) {
        reverse(b * a_.T + t, steps_[index(t - begin)]);
      }
    }
  }

  void store_parameters(std::int64_t share) const {
    A* partial = static_cast<A*>(a_.partial) + share * 2 * a_.D + d_;
    store_lanes(partial, dw_, lanes_);
    store_lanes(partial + a_.D, dfirst_, lanes_);
  }

 private:
  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

  /// What a step leaves for the way back. Q = e^n q; before it the sums were Q past and Q weight.
  struct Step {
    V k, v, dwkv, wkv, n, q, past, weight, own;
  };

  State rebuild(const State& before, std::int64_t row, Step& step) const {
    const State s = this->starts(row) ? State{} : before;
    step.k = this->load(a_.k, a_.k_stride, row);
    step.v = this->load(a_.v, a_.v_stride, row);
    const Balance<V> to(s.o, first_ + step.k);
    step.n = to.max;
    step.q = to.left * s.b + to.right;
    step.past = to.left * s.a / step.q;
    step.weight = to.left * s.b / step.q;
    step.own = to.right / step.q;
    step.wkv = step.past + step.own * step.v;
    step.dwkv = this->load(a_.dy, a_.D, row);
    if (a_.r != nullptr) {
      const V gate = sigmoid(this->load(a_.r, a_.r_stride, row));
      this->store(a_.dr, a_.dr_stride, row, step.dwkv * step.wkv * gate * (1 - gate), a_.dr_add);
      step.dwkv *= gate;
    }
    return this->after(s, step.k, step.v);
  }

  /// adjoint_ is (P, R) of ops/wkv.h after the step, and becomes that before it.
  void reverse(std::int64_t row, const Step& step) {
    const V from_own = step.dwkv * step.own;
    const V from_first = from_own * (step.v - step.wkv);
    const V scale = exp(step.k + adjoint_.o);
    this->store(a_.dv, a_.dv_stride, row, from_own + scale * adjoint_.a, a_.dv_add);
    this->store(a_.dk, a_.dk_stride, row, from_first + scale * (adjoint_.a * step.v + adjoint_.b),
                a_.dk_add);
    dfirst_ += from_first;
    dw_ += exp(w_ + adjoint_.o + step.n) * step.q *
           (adjoint_.a * step.past + adjoint_.b * step.weight);
    if (this->starts(row)) {
      adjoint_ = State{};
      return;
    }
    const Balance<V> to(adjoint_.o + w_, -step.n);
    const V from_wkv = to.right * step.dwkv / step.q;
    adjoint_ = {to.left * adjoint_.a + from_wkv, to.left * adjoint_.b - from_wkv * step.wkv,
                to.max};
  }

  std::array<Step, kWkvChunk> steps_;
  State adjoint_;
  V dw_ = {}, dfirst_ = {};
};

/// f(channels, b) for every vector of channels and its share of the sequences, then done(...).
template <template <class> class Walk, class T, class Done>
void walk(const WkvArgs& a, const Done& done) {
  const std::int64_t blocks = lane_blocks<accumulator_t<T>>(a.D);
  parallel_for(a.shares * blocks, [&](std::int64_t task) {
    const std::int64_t share = task / blocks;
    Walk<T> channels(a, task % blocks * kLanes<accumulator_t<T>>);
    for (std::int64_t b = a.B * share / a.shares; b < a.B * (share + 1) / a.shares; b++) {
      channels.sequence(b);
    }
    done(channels, share);
  });
}

/// Adds up the shares' dw and dfirst, in order; the gradient of decay is dw w.
template <class A>
void sum_shares(const WkvArgs& a) {
  const auto sum = [&](std::int64_t part, std::int64_t d) {
    A total = {};
    for (std::int64_t share = 0; share < a.shares; share++) {
      total += static_cast<const A*>(a.partial)[(share * 2 + part) * a.D + d];
    }
    return total;
  };
  A *ddecay = static_cast<A*>(a.ddecay), *dfirst = static_cast<A*>(a.dfirst);
  for (std::int64_t d = 0; d < a.D; d++) {
    if (ddecay != nullptr) {
      const A w = -std::exp(static_cast<const A*>(a.decay)[d]);
      ddecay[d] = (a.ddecay_add ? ddecay[d] : A{}) + sum(0, d) * w;
    }
    if (dfirst != nullptr) dfirst[d] = (a.dfirst_add ? dfirst[d] : A{}) + sum(1, d);
  }
}

}  // namespace

void wkv_forward(const WkvArgs& a) {
  with_type(a.type,
            [&]<class T>() { walk<WkvForward, T>(a, [](const WkvForward<T>&, std::int64_t) {}); });
}

void wkv_backward(const WkvArgs& a) {
  with_type(a.type, [&]<class T>() {
    walk<WkvBackward, T>(a, [](const WkvBackward<T>& channels, std::int64_t share) {
      channels.store_parameters(share);
    });
    sum_shares<accumulator_t<T>>(a);
  });
}

}  // namespace farsight::cpu
