#include <vector>

#include "core/parallel.h"
#include "ops/selective_scan_lanes.h"

// From the last chunk to the first. In a chunk each state goes forward once more from its checkpoint,
// keeping what it passes, and then back. The channels of a group take turns inside a chunk, so that
// dB and dC are summed over them lane by lane before the lanes themselves are.

namespace farsight::cpu {
namespace {

/// dB and dC of a group of channels in a chunk: [N][kScanChunk] lanes each.
template <class V>
struct SelectionSums {
  std::vector<V> B, C;
  explicit SelectionSums(std::int64_t N) : B(size(N)), C(size(N)) {}
  void clear() {
    std::fill(B.begin(), B.end(), V{});
    std::fill(C.begin(), C.end(), V{});
  }

 private:
  static std::size_t size(std::int64_t N) { return static_cast<std::size_t>(N * kScanChunk); }
};

template <class T>
class ScanBackward : ScanChannels<T> {
  using Base = ScanChannels<T>;
  using Base::a_, Base::d_;
  using typename Base::A, typename Base::V;
  template <class X>
  using PerStep = typename Base::template PerStep<X>;

 public:
  ScanBackward(const ScanArgs& a, std::int64_t d)
      : Base(a, d), dA_(index(a.N), V{}), adjoint_(index(a.N)) {
    for (std::int64_t n = 0; n < a.N; n++) {
      decay_.push_back(this->decay(n));
    }
  }

  void begin(std::int64_t b) {
    for (std::int64_t n = 0; n < a_.N; n++) {
      adjoint_[index(n)] = this->load_state(a_.dlast_state, b, n);
    }
  }

  void chunk(std::int64_t b, std::int64_t chunk, SelectionSums<V>& sums) {
    const std::int64_t first = chunk * kScanChunk, first_row = b * a_.T + first;
    const int count = this->load_chunk(b, first);
    for (int i = 0; i < count; i++) {
      const std::int64_t row = first_row + i;
      V dy = a_.dy ? this->load(a_.dy, a_.channels, row) : V{};
      dout_[index(i)] = dy;
      if (a_.z != nullptr) dy *= silu(this->load(a_.z, a_.z_stride, row));
      dy_[index(i)] = dy;
      from_input_[index(i)] = V{};
      from_decay_[index(i)] = V{};
    }
    for (std::int64_t n = 0; n < a_.N; n++) {
      rebuild(b, chunk, first_row, count, n);
      reverse(first_row, count, n, sums);
    }
    for (int i = 0; i < count; i++) {
      finish(first_row + i, index(i));
    }
  }

  void end(std::int64_t b) const {
    for (std::int64_t n = 0; n < a_.N; n++) {
      this->store_state(a_.dinitial, b, n, adjoint_[index(n)], a_.dinitial_add);
    }
  }

  void store_parameters(std::int64_t share) const {
    A* partial = static_cast<A*>(a_.partial_param) + share * (a_.N + 2) * a_.channels + d_;
    for (std::int64_t n = 0; n < a_.N; n++) {
      store_lanes(partial + n * a_.channels, dA_[index(n)], this->lanes_);
    }
    store_lanes(partial + a_.N * a_.channels, dD_, this->lanes_);
    store_lanes(partial + (a_.N + 1) * a_.channels, dbias_, this->lanes_);
  }

 private:
  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

  /// State n forward through the chunk: states_[i] is h before step i, kept_[i] the factor of it.
  void rebuild(std::int64_t b, std::int64_t chunk, std::int64_t first_row, int count,
               std::int64_t n) {
    const V decay = decay_[index(n)];
    const V *dt = this->dt_.data(), *input = this->input_.data();
    const bool* starts = this->starts_.data();
    V *y = this->y_.data(), *states = states_.data(), *kept = kept_.data();
    const T *B = this->B(first_row) + n, *C = this->C(first_row) + n;
    V h = load_lanes(this->checkpoint(b, chunk, n), this->lanes_);
    for (int i = 0; i < count; i++) {
      states[i] = h;
      kept[i] = exp2(dt[i] * decay);
      if (starts[i]) kept[i] = V{};  // nothing is kept across a start
      h = kept[i] * h + input[i] * static_cast<A>(B[i * a_.B_stride]);
      y[i] += h * static_cast<A>(C[i * a_.C_stride]);
    }
    states[count] = h;
  }

  /// And back: lambda = C dy + kept[t+1] lambda[t+1] (ops/selective_scan.h).
  void reverse(std::int64_t first_row, int count, std::int64_t n, SelectionSums<V>& sums) {
    const V decay = decay_[index(n)];
    const V *dt = this->dt_.data(), *input = this->input_.data(), *dy = dy_.data();
    const V *states = states_.data(), *kept = kept_.data();
    V *from_input = from_input_.data(), *from_decay = from_decay_.data();
    V *dB = sums.B.data() + n * kScanChunk, *dC = sums.C.data() + n * kScanChunk;
    const T *B = this->B(first_row) + n, *C = this->C(first_row) + n;
    V adjoint = adjoint_[index(n)], dA = dA_[index(n)];
    for (int i = count - 1; i >= 0; i--) {
      const V lambda = dy[i] * static_cast<A>(C[i * a_.C_stride]) + adjoint;
      adjoint = kept[i] * lambda;
      const V e = adjoint * states[i];
      dC[i] += dy[i] * states[i + 1];
      dB[i] += lambda * input[i];
      dA += dt[i] * e;
      from_input[i] += lambda * static_cast<A>(B[i * a_.B_stride]);
      from_decay[i] += decay * e;
    }
    adjoint_[index(n)] = adjoint;
    dA_[index(n)] = dA;
  }

  /// What a step's sums over the states turn into.
  void finish(std::int64_t row, std::size_t i) {
    const V u = this->u_[i], dy = dy_[i];
    if (a_.z != nullptr) {
      const V z = this->load(a_.z, a_.z_stride, row);
      this->store(a_.dz, a_.dz_stride, row, dout_[i] * this->y_[i] * silu_derivative(z), a_.dz_add);
    }
    // from_decay is in units of log2: decay = A log2(e).
    const V ddt = u * from_input_[i] + from_decay_[i] * static_cast<A>(1 / kLog2E);
    const V dp = ddt * softplus_derivative(this->p_[i]);
    dD_ += dy * u;
    dbias_ += dp;
    this->store(a_.du, a_.du_stride, row, this->D_ * dy + this->dt_[i] * from_input_[i], a_.du_add);
    this->store(a_.ddelta, a_.ddelta_stride, row, dp * this->gate_[i], a_.ddelta_add);
    this->store(a_.dgate, a_.dgate_stride, row, dp * this->delta_[i], a_.dgate_add);
  }

  std::vector<V> decay_, dA_, adjoint_;  // adjoint: kept[t+1] lambda[t+1]
  V dD_ = {}, dbias_ = {};
  std::array<V, kScanChunk + 1> states_;
  PerStep<V> kept_, dout_, dy_, from_input_, from_decay_;  // sums over n of lambda B, decay e
};

template <class T>
void store_selection(const ScanArgs& a, std::int64_t group, std::int64_t b, std::int64_t chunk,
                     const SelectionSums<Lanes<accumulator_t<T>>>& sums) {
  using A = accumulator_t<T>;
  const std::int64_t first = chunk * kScanChunk, last = std::min(a.T, first + kScanChunk);
  for (std::int64_t t = first; t < last; t++) {
    A* to = static_cast<A*>(a.partial_bc) + ((group * a.batch + b) * a.T + t) * 2 * a.N;
    for (std::int64_t n = 0; n < a.N; n++) {
      const auto at = static_cast<std::size_t>(n * kScanChunk + t - first);
      to[n] = sum_lanes<A>(sums.B[at]);
      to[a.N + n] = sum_lanes<A>(sums.C[at]);
    }
  }
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

/// One group of channels over one share of the batch.
template <class T>
void backward_task(const ScanArgs& a, std::int64_t share, std::int64_t group) {
  using A = accumulator_t<T>;
  const std::int64_t blocks = lane_blocks<A>(a.channels);
  SelectionSums<Lanes<A>> sums(a.N);
  std::vector<ScanBackward<T>> channels;
  for (std::int64_t block = blocks * group / a.groups; block < blocks * (group + 1) / a.groups;
       block++) {
    channels.emplace_back(a, block * kLanes<A>);
  }
  for (std::int64_t b = a.batch * share / a.shares; b < a.batch * (share + 1) / a.shares; b++) {
    for (ScanBackward<T>& c : channels) {
      c.begin(b);
    }
    for (std::int64_t chunk = a.chunks - 1; chunk >= 0; chunk--) {
      sums.clear();
      for (ScanBackward<T>& c : channels) {
        c.chunk(b, chunk, sums);
      }
      store_selection<T>(a, group, b, chunk, sums);
    }
    for (ScanBackward<T>& c : channels) {
      c.end(b);
    }
  }
  for (ScanBackward<T>& c : channels) {
    c.store_parameters(share);
  }
}

template <class T>
void backward(const ScanArgs& a) {
  parallel_for(a.shares * a.groups,
               [&](std::int64_t task) { backward_task<T>(a, task / a.groups, task % a.groups); });
  sum_groups<T>(a, 0, a.dB, a.dB_stride, a.dB_add);
  sum_groups<T>(a, a.N, a.dC, a.dC_stride, a.dC_add);
  sum_shares<accumulator_t<T>>(a);
}

}  // namespace

void selective_scan_backward(const ScanArgs& a) {
  with_type(a.type, [&]<class T>() { backward<T>(a); });
}

}  // namespace farsight::cpu
