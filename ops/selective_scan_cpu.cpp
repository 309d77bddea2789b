#include <algorithm>
#include <vector>

#include "core/lanes.h"
#include "core/parallel.h"
#include "core/tensor.h"
#include "ops/selective_scan.h"

// A vector of channels walks through time with its N states side by side: every value of a channel
// is one lane, B and C are broadcast. Backward goes through the chunks from the last to the first,
// rebuilding the states of a chunk from its checkpoint; the channels of a group take turns inside a
// chunk, so that dB and dC are summed over them before the lanes are.

namespace farsight::cpu {
namespace {

/// What one time step needs besides the state.
template <class V>
struct Step {
  V u, q, s, p, dt;  // q: delta before the gate; s: the gate; p: before softplus
};

template <class T>
class Scan {
 public:
  using A = accumulator_t<T>;
  using V = Lanes<A>;
  static constexpr std::int64_t kWidth = kLanes<A>;

  explicit Scan(const ScanArgs& a) : a_(a), N_(a.N) {}

  int count(std::int64_t d) const {
    return static_cast<int>(std::min<std::int64_t>(kWidth, a_.channels - d));
  }

  /// decay[n] = -exp(A_log[d, n]) log2(e): exp(dt A) = 2^(dt decay).
  void load_decay(std::int64_t d, V* decay) const {
    const A* A_log = static_cast<const A*>(a_.A_log);
    for (std::int64_t n = 0; n < N_; n++) {
      V log_rate = {};
      for (int i = 0; i < count(d); i++) {
        log_rate[i] = A_log[(d + i) * N_ + n];
      }
      decay[n] = -exp(log_rate) * static_cast<A>(kLog2E);
    }
  }

  void load_initial(std::int64_t b, std::int64_t d, V* h) const {
    const A* state = static_cast<const A*>(a_.initial_state);
    for (std::int64_t n = 0; n < N_; n++) {
      h[n] = V{};
      for (int i = 0; i < count(d) && state != nullptr; i++) {
        h[n][i] = state[(b * a_.channels + d + i) * N_ + n];
      }
    }
  }

  V load_parameter(const void* from, std::int64_t d) const {
    return load_lanes(static_cast<const A*>(from) + d, count(d));
  }
  V load(const void* from, std::int64_t stride, std::int64_t row, std::int64_t d) const {
    return load_lanes(static_cast<const T*>(from) + row * stride + d, count(d));
  }

  Step<V> load_step(std::int64_t row, std::int64_t d, V bias) const {
    Step<V> step;
    step.u = load(a_.u, a_.u_stride, row, d);
    step.q = load(a_.delta, a_.delta_stride, row, d);
    step.s = a_.gate ? load(a_.gate, a_.gate_stride, row, d) : broadcast<A>(1);
    step.p = step.q * step.s + bias;
    step.dt = softplus(step.p);
    return step;
  }

  bool starts(std::int64_t row) const { return a_.position != nullptr && a_.position[row] == 0; }

  A* checkpoint(std::int64_t b, std::int64_t chunk, std::int64_t n, std::int64_t d) const {
    return static_cast<A*>(a_.checkpoints) + ((b * a_.chunks + chunk) * N_ + n) * a_.channels + d;
  }

  void forward(std::int64_t b, std::int64_t d, V* decay, V* h) const {
    load_decay(d, decay);
    load_initial(b, d, h);
    const V D = load_parameter(a_.D, d), bias = load_parameter(a_.bias, d);
    const int lanes = count(d);
    for (std::int64_t t = 0; t < a_.T; t++) {
      const std::int64_t row = b * a_.T + t;
      if (a_.checkpoints != nullptr && t % kScanChunk == 0) {
        for (std::int64_t n = 0; n < N_; n++) {
          store_lanes(checkpoint(b, t / kScanChunk, n, d), h[n], lanes);
        }
      }
      if (starts(row)) std::fill_n(h, N_, V{});
      const Step<V> step = load_step(row, d, bias);
      const V input = step.dt * step.u;
      const T* B = static_cast<const T*>(a_.B) + row * a_.B_stride;
      const T* C = static_cast<const T*>(a_.C) + row * a_.C_stride;
      V y = D * step.u;
      for (std::int64_t n = 0; n < N_; n++) {
        h[n] = exp2(step.dt * decay[n]) * h[n] + input * static_cast<A>(B[n]);
        y += h[n] * static_cast<A>(C[n]);
      }
      if (a_.z != nullptr) y *= silu(load(a_.z, a_.z_stride, row, d));
      store_lanes(static_cast<T*>(a_.y) + row * a_.channels + d, y, lanes);
    }
    A* last = static_cast<A*>(a_.last_state);
    for (std::int64_t n = 0; n < N_ && last != nullptr; n++) {
      for (int i = 0; i < lanes; i++) {
        last[(b * a_.channels + d + i) * N_ + n] = h[n][i];
      }
    }
  }

 protected:
  const ScanArgs& a_;
  const std::int64_t N_;
};

/// The backward of one group of channels over a share of the batch.
template <class T>
class ScanBackward : Scan<T> {
  using Base = Scan<T>;
  using Base::a_, Base::N_, Base::kWidth;
  using typename Base::A, typename Base::V;

  /// What a vector of channels carries from chunk to chunk and from row to row.
  struct Channels {
    std::int64_t d = 0;
    V D = {}, bias = {}, dD = {}, dbias = {};
    std::vector<V> decay, dA, adjoint;  // adjoint: a[t+1] lambda[t+1]
  };

 public:
  ScanBackward(const ScanArgs& a, std::int64_t first, std::int64_t last)
      : Base(a),
        states_(size((kScanChunk + 1) * N_)),
        kept_(size(kScanChunk * N_)),
        dB_(size(kScanChunk * N_)),
        dC_(size(kScanChunk * N_)),
        steps_(size(kScanChunk)),
        y_(size(kScanChunk)) {
    for (std::int64_t d = first; d < last; d += kWidth) {
      Channels& c = channels_.emplace_back();
      c.d = d;
      c.D = this->load_parameter(a.D, d);
      c.bias = this->load_parameter(a.bias, d);
      c.decay.resize(size(N_));
      c.dA.assign(size(N_), V{});
      c.adjoint.resize(size(N_));
      this->load_decay(d, c.decay.data());
    }
  }

  void row(std::int64_t b, std::int64_t group) {
    for (Channels& c : channels_) {
      load_dlast(b, c);
    }
    for (std::int64_t chunk = a_.chunks - 1; chunk >= 0; chunk--) {
      std::fill(dB_.begin(), dB_.end(), V{});
      std::fill(dC_.begin(), dC_.end(), V{});
      for (Channels& c : channels_) {
        rebuild(b, chunk, c);
        reverse(b, chunk, c);
      }
      store_partial(b, chunk, group);
    }
    for (Channels& c : channels_) {
      store_dinitial(b, c);
    }
  }

  void store_parameters(std::int64_t share) const {
    A* partial = static_cast<A*>(a_.partial_param) + share * (N_ + 2) * a_.channels;
    for (const Channels& c : channels_) {
      const int lanes = this->count(c.d);
      for (std::int64_t n = 0; n < N_; n++) {
        store_lanes(partial + n * a_.channels + c.d, c.dA[size(n)], lanes);
      }
      store_lanes(partial + N_ * a_.channels + c.d, c.dD, lanes);
      store_lanes(partial + (N_ + 1) * a_.channels + c.d, c.dbias, lanes);
    }
  }

 private:
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

  void load_dlast(std::int64_t b, Channels& c) const {
    const A* dlast = static_cast<const A*>(a_.dlast_state);
    for (std::int64_t n = 0; n < N_; n++) {
      V v = {};
      for (int i = 0; i < this->count(c.d) && dlast != nullptr; i++) {
        v[i] = dlast[(b * a_.channels + c.d + i) * N_ + n];
      }
      c.adjoint[size(n)] = v;
    }
  }

  void store_dinitial(std::int64_t b, const Channels& c) const {
    A* out = static_cast<A*>(a_.dinitial);
    if (out == nullptr) return;
    for (std::int64_t n = 0; n < N_; n++) {
      for (int i = 0; i < this->count(c.d); i++) {
        A& at = out[(b * a_.channels + c.d + i) * N_ + n];
        at = (a_.dinitial_add ? at : A{}) + c.adjoint[size(n)][i];
      }
    }
  }

  /// Forward again through a chunk, keeping every state, every decay factor and y.
  void rebuild(std::int64_t b, std::int64_t chunk, const Channels& c) {
    const std::int64_t first = chunk * kScanChunk, last = std::min(a_.T, first + kScanChunk);
    const V* decay = c.decay.data();
    for (std::int64_t n = 0; n < N_; n++) {
      states_[size(n)] = load_lanes(this->checkpoint(b, chunk, n, c.d), this->count(c.d));
    }
    for (std::int64_t t = first; t < last; t++) {
      const std::int64_t row = b * a_.T + t, i = t - first;
      const bool start = this->starts(row);
      const Step<V> step = this->load_step(row, c.d, c.bias);
      const V input = step.dt * step.u;
      const T* B = static_cast<const T*>(a_.B) + row * a_.B_stride;
      const T* C = static_cast<const T*>(a_.C) + row * a_.C_stride;
      const V* before = states_.data() + i * N_;
      V *after = states_.data() + (i + 1) * N_, *kept = kept_.data() + i * N_;
      V y = c.D * step.u;
      for (std::int64_t n = 0; n < N_; n++) {
        kept[n] = start ? V{} : exp2(step.dt * decay[n]);  // nothing is kept across a start
        after[n] = kept[n] * before[n] + input * static_cast<A>(B[n]);
        y += after[n] * static_cast<A>(C[n]);
      }
      steps_[size(i)] = step;
      y_[size(i)] = y;
    }
  }

  void reverse(std::int64_t b, std::int64_t chunk, Channels& c) {
    const std::int64_t first = chunk * kScanChunk, last = std::min(a_.T, first + kScanChunk);
    const V* decay = c.decay.data();
    V *adjoint = c.adjoint.data(), *dA = c.dA.data();
    const int lanes = this->count(c.d);
    for (std::int64_t t = last - 1; t >= first; t--) {
      const std::int64_t row = b * a_.T + t, i = t - first;
      const Step<V>& step = steps_[size(i)];
      const V dy = through_z(row, c, y_[size(i)]);
      const V input = step.dt * step.u;
      const T* B = static_cast<const T*>(a_.B) + row * a_.B_stride;
      const T* C = static_cast<const T*>(a_.C) + row * a_.C_stride;
      const V *before = states_.data() + i * N_, *after = before + N_;
      const V* kept = kept_.data() + i * N_;
      V *dB = dB_.data() + i * N_, *dC = dC_.data() + i * N_;
      V from_input = {}, from_decay = {};  // sum_n lambda B, sum_n lambda A e (A in log2 units)
      for (std::int64_t n = 0; n < N_; n++) {
        const V lambda = dy * static_cast<A>(C[n]) + adjoint[n];
        const V e = lambda * (kept[n] * before[n]);
        dC[n] += dy * after[n];
        dB[n] += lambda * input;
        dA[n] += step.dt * e;
        from_input += lambda * static_cast<A>(B[n]);
        from_decay += decay[n] * e;
        adjoint[n] = kept[n] * lambda;
      }
      c.dD += dy * step.u;
      const V ddt = step.u * from_input + from_decay * static_cast<A>(1 / kLog2E);
      const V dp = ddt * softplus_derivative(step.p);
      c.dbias += dp;
      put(a_.du, a_.du_stride, a_.du_add, row, c.d, lanes, c.D * dy + step.dt * from_input);
      put(a_.ddelta, a_.ddelta_stride, a_.ddelta_add, row, c.d, lanes, dp * step.s);
      put(a_.dgate, a_.dgate_stride, a_.dgate_add, row, c.d, lanes, dp * step.q);
    }
  }

  /// dy before the gate silu(z); writes dz.
  V through_z(std::int64_t row, const Channels& c, V y) const {
    const int lanes = this->count(c.d);
    V dy = a_.dy ? load_lanes(static_cast<const T*>(a_.dy) + row * a_.channels + c.d, lanes) : V{};
    if (a_.z == nullptr) return dy;
    const V z = this->load(a_.z, a_.z_stride, row, c.d);
    put(a_.dz, a_.dz_stride, a_.dz_add, row, c.d, lanes, dy * y * silu_derivative(z));
    return dy * silu(z);
  }

  static void put(void* to, std::int64_t stride, bool add, std::int64_t row, std::int64_t d,
                  int lanes, V v) {
    if (to != nullptr) put_lanes(static_cast<T*>(to) + row * stride + d, v, lanes, add);
  }

  void store_partial(std::int64_t b, std::int64_t chunk, std::int64_t group) const {
    const std::int64_t first = chunk * kScanChunk, last = std::min(a_.T, first + kScanChunk);
    for (std::int64_t t = first; t < last; t++) {
      A* to = static_cast<A*>(a_.partial_bc) + ((group * a_.batch + b) * a_.T + t) * 2 * N_;
      for (std::int64_t n = 0; n < N_; n++) {
        to[n] = sum_lanes<A>(dB_[size((t - first) * N_ + n)]);
        to[N_ + n] = sum_lanes<A>(dC_[size((t - first) * N_ + n)]);
      }
    }
  }

  std::vector<Channels> channels_;
  std::vector<V> states_, kept_, dB_, dC_;
  std::vector<Step<V>> steps_;
  std::vector<V> y_;
};

template <class T>
void forward(const ScanArgs& a) {
  using A = accumulator_t<T>;
  const std::int64_t blocks = lane_blocks<A>(a.channels);
  parallel_for(a.batch * blocks, [&](std::int64_t task) {
    std::vector<Lanes<A>> decay(static_cast<std::size_t>(a.N)), h(decay.size());
    Scan<T>(a).forward(task / blocks, task % blocks * kLanes<A>, decay.data(), h.data());
  });
}

/// Adds up the groups' dB and dC, in order.
template <class T>
void sum_groups(const ScanArgs& a, std::int64_t column, void* out, std::int64_t stride, bool add) {
  using A = accumulator_t<T>;
  if (out == nullptr) return;
  const A* partial = static_cast<const A*>(a.partial_bc);
  const std::int64_t rows = a.batch * a.T;
  parallel_blocks(rows, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; row++) {
      for (std::int64_t n = 0; n < a.N; n++) {
        T& to = static_cast<T*>(out)[row * stride + n];
        A sum = add ? static_cast<A>(to) : A{};
        for (std::int64_t group = 0; group < a.groups; group++) {
          sum += partial[(group * rows + row) * 2 * a.N + column + n];
        }
        to = T(sum);
      }
    }
  });
}

/// Adds up the shares' dA, dD and dbias, in order; dA_log = dA A.
template <class A>
void sum_shares(const ScanArgs& a) {
  const A* partial = static_cast<const A*>(a.partial_param);
  A *dA = static_cast<A*>(a.dA_log), *dD = static_cast<A*>(a.dD), *dbias = static_cast<A*>(a.dbias);
  const auto sum = [&](std::int64_t n, std::int64_t d) {
    A total = {};
    for (std::int64_t share = 0; share < a.shares; share++) {
      total += partial[(share * (a.N + 2) + n) * a.channels + d];
    }
    return total;
  };
  parallel_blocks(a.channels, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t d = begin; d < end; d++) {
      for (std::int64_t n = 0; n < a.N && dA != nullptr; n++) {
        const A rate = -std::exp(static_cast<const A*>(a.A_log)[d * a.N + n]);
        A& to = dA[d * a.N + n];
        to = (a.dA_log_add ? to : A{}) + sum(n, d) * rate;
      }
      if (dD != nullptr) dD[d] = (a.dD_add ? dD[d] : A{}) + sum(a.N, d);
      if (dbias != nullptr) dbias[d] = (a.dbias_add ? dbias[d] : A{}) + sum(a.N + 1, d);
    }
  });
}

template <class T>
void backward(const ScanArgs& a) {
  const std::int64_t width = (a.channels + a.groups - 1) / a.groups;
  const std::int64_t lanes = kLanes<accumulator_t<T>>;
  const std::int64_t group_channels = (width + lanes - 1) / lanes * lanes;
  parallel_for(a.shares * a.groups, [&](std::int64_t task) {
    const std::int64_t share = task / a.groups, group = task % a.groups;
    const std::int64_t first = std::min(a.channels, group * group_channels);
    ScanBackward<T> scan(a, first, std::min(a.channels, first + group_channels));
    for (std::int64_t b = a.batch * share / a.shares; b < a.batch * (share + 1) / a.shares; b++) {
      scan.row(b, group);
    }
    scan.store_parameters(share);
  });
  sum_groups<T>(a, 0, a.dB, a.dB_stride, a.dB_add);
  sum_groups<T>(a, a.N, a.dC, a.dC_stride, a.dC_add);
  sum_shares<accumulator_t<T>>(a);
}

}  // namespace

void selective_scan_forward(const ScanArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}
void selective_scan_backward(const ScanArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace farsight::cpu
