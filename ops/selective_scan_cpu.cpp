#include <vector>

#include "core/parallel.h"
#include "ops/selective_scan_lanes.h"

namespace farsight::cpu {
namespace {

template <class T>
class ScanForward : ScanChannels<T> {
  using Base = ScanChannels<T>;
  using Base::a_;
  using typename Base::A, typename Base::V;

 public:
  ScanForward(const ScanArgs& a, std::int64_t d) : Base(a, d) {
    for (std::int64_t n = 0; n < a.N; n++) {
      decay_.push_back(this->decay(n));
    }
    h_.resize(decay_.size());
  }

  void sequence(std::int64_t b) {
    for (std::int64_t n = 0; n < a_.N; n++) {
      h_[index(n)] = this->load_state(a_.initial_state, b, n);
    }
    for (std::int64_t chunk = 0; chunk < a_.chunks; chunk++) {
      const std::int64_t first = chunk * kScanChunk;
      const int count = this->load_chunk(b, first);
      for (std::int64_t n = 0; n < a_.N; n++) {
        if (a_.checkpoints != nullptr) {
          store_lanes(this->checkpoint(b, chunk, n), h_[index(n)], this->lanes_);
        }
        walk(b * a_.T + first, count, n);
      }
      for (int i = 0; i < count; i++) {
        const std::int64_t row = b * a_.T + first + i;
        V y = this->y_[index(i)];
        if (a_.z != nullptr) y *= silu(this->load(a_.z, a_.z_stride, row));
        this->store(a_.y, a_.channels, row, y, false);
      }
    }
    for (std::int64_t n = 0; n < a_.N; n++) {
      this->store_state(a_.last_state, b, n, h_[index(n)], false);
    }
  }

 private:
  static std::size_t index(std::int64_t i) { return static_cast<std::size_t>(i); }

  /// State n through the chunk: h = 2^(dt decay) h + input B, y += C h.
  void walk(std::int64_t first_row, int count, std::int64_t n) {
    const V decay = decay_[index(n)];
    const V *dt = this->dt_.data(), *input = this->input_.data();
    const bool* starts = this->starts_.data();
    V* y = this->y_.data();
    const T *B = this->B(first_row) + n, *C = this->C(first_row) + n;
    V h = h_[index(n)];
    for (int i = 0; i < count; i++) {
      if (starts[i]) h = V{};
      h = exp2(dt[i] * decay) * h + input[i] * static_cast<A>(B[i * a_.B_stride]);
      y[i] += h * static_cast<A>(C[i * a_.C_stride]);
    }
    h_[index(n)] = h;
  }

  std::vector<V> decay_, h_;
};

template <class T>
void forward(const ScanArgs& a) {
  using A = accumulator_t<T>;
  const std::int64_t blocks = lane_blocks<A>(a.channels);
  parallel_for(a.shares * blocks, [&](std::int64_t task) {
    const std::int64_t share = task / blocks;
    ScanForward<T> scan(a, task % blocks * kLanes<A>);
    for (std::int64_t b = a.batch * share / a.shares; b < a.batch * (share + 1) / a.shares; b++) {
      scan.sequence(b);
    }
  });
}

}  // namespace

void selective_scan_forward(const ScanArgs& a) {
  with_type(a.type, [&]<class T>() { forward<T>(a); });
}

}  // namespace farsight::cpu
