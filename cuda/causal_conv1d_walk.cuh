// The walk of one thread along time in the short convolution's backward (causal_conv1d_backward.cu):
// m is computed again from the last W rows of x, c = dy silu'(m), and c goes to dw, dbias and the last
// W rows of dx, the oldest of which is then complete. A run looks W - 1 steps beyond its end for the dx
// of its last rows. Rows of x and dx stand in rings of registers: row t in place t mod W, so that with
// W steps at a time every index is a constant and nothing moves.
//
// What limits a thread is waiting for memory, so the next rows of x and dy (and of the dx that is
// added to) are on their way to its slots in shared memory kWalkAhead groups of W steps ahead; what
// lies beyond T comes as zeros, which makes c zero there without a test.
//
// Packed rows: where a sequence starts the rows of x before it are zeros and the rows of dx before it
// are complete: they are stored at once, and `first` keeps what c adds to them later from memory.
#pragma once

#include "cuda/causal_conv1d_short.cuh"

namespace farsight::cuda {

inline constexpr int kWalkThreads = 256;
inline constexpr int kWalkAhead = 3, kWalkStages = kWalkAhead + 1;  // groups of W steps

/// What an instance knows of its arguments at compile time; where kKnown is false it asks.
template <bool kKnown, bool kPacked = false, bool kAdds = false, bool kSilu = true>
struct Facts {
  static constexpr bool kPlainRows = kKnown;      // no history; dx goes to dx
  static constexpr bool kSums = kKnown && kAdds;  // dx is added to what is there
  static constexpr int kStreams = kSums ? 3 : 2;  // x, dy, that dx
  __device__ static bool silu(const Conv1dArgs& a) { return kKnown ? kSilu : a.silu; }
  __device__ static bool packed(const Conv1dArgs& a) {
    return kKnown ? kPacked : a.position != nullptr;
  }
};

template <class T, int V, int W, class F>
class Walk {
 public:
  using Raw = typename Packed<T, V>::Raw;
  static constexpr int kSlots = kWalkStages * W * F::kStreams;  // of a thread

  float dw[W][V] = {}, dbias[V] = {};  // dw[i] belongs to x i steps back

  __device__ Walk(const Conv1dArgs& a, std::int64_t d, Raw* slots)
      : a_(a), taps_(a, d), d_(d), slots_(slots + threadIdx.y * blockDim.x + threadIdx.x) {}

  __device__ void run(std::int64_t b, int begin, int length) {
    begin_run(b, begin, length);
    int t = begin;
#pragma unroll 1
    for (; t < end_; t += W) {
      fetch(t + kWalkAhead * W);
      await_stages<kWalkAhead>();
      group<true>(t);
    }
    // The rows of dx that are not complete yet.
    fetch(t + kWalkAhead * W);
    await_stages<kWalkAhead>();
    if (end_ < int(a_.T)) {
      group<false>(t);
    } else {
#pragma unroll
      for (int s = 0; s < W - 1; s++) {
        store(slots_of(t), t, s);
      }
    }
  }

 private:
  /// Where the W steps from t on have their slots, [step][stream][thread].
  __device__ Raw* slots_of(int t) const {
    const unsigned stage = unsigned(t - begin_) / W % kWalkStages;
    return slots_ + stage * (W * F::kStreams * kWalkThreads);
  }

  __device__ void begin_run(std::int64_t b, int begin, int length) {
    b_ = b;
    begin_ = begin;
    end_ = min(begin + length, int(a_.T));
    first_ = begin == 0 && !F::kPlainRows ? 1 - int(a_.K) : begin;  // the history belongs to 0
    limit_ = end_ < int(a_.T) ? end_ + W : end_;
    x_ = static_cast<const T*>(a_.x) + (b * a_.T + begin) * a_.x_stride + d_;
    dy_ = static_cast<const T*>(a_.dy) + (b * a_.T + begin) * a_.D + d_;
    if constexpr (F::kPlainRows) {
      dx_ = static_cast<T*>(a_.dx) + (b * a_.T + begin - (W - 1)) * a_.dx_stride + d_;
      sum_ = dx_;
    }
    const T* x_before = x_;
#pragma unroll
    for (int group = 0; group < kWalkAhead; group++) {
      fetch(begin + group * W);
    }
    bool hidden = false;  // behind a sequence's start
    next_starts_ = starts_from(begin);
#pragma unroll
    for (int i = 1; i < W; i++) {
      const int t = begin - i;
      float(&x)[V] = window_[W - i];
      if constexpr (F::kPlainRows) {
        Packed<T, V> row = {};
        x_before -= a_.x_stride;
        if (t >= 0 && !hidden) row.load(x_before);
        row.to(x);
      } else {
        load_input<V, T>(a_, b, t, d_, x);
        if (hidden) clear(x);
      }
      if (F::packed(a_)) hidden = hidden || starts_at(a_, b, t);
      clear(pending_[W - i]);
    }
  }

  /// Sends for the rows of the W steps from t on, and ends the stage.
  __device__ void fetch(int t) {
    constexpr int kBytes = int(sizeof(Raw));
    if (t < limit_) {
      Raw* to = slots_of(t);
#pragma unroll
      for (int s = 0; s < W; s++) {
        const bool there = t + s < int(a_.T);
        copy_ahead<kBytes>(to + s * F::kStreams * kWalkThreads, x_, there);
        copy_ahead<kBytes>(to + (s * F::kStreams + 1) * kWalkThreads, dy_, there);
        x_ += a_.x_stride;
        dy_ += a_.D;
      }
    }
    if constexpr (F::kSums) {
      Raw* to = slots_of(t) + 2 * kWalkThreads;
#pragma unroll
      for (int s = 0; s < W; s++) {
        const int done = t + s - (W - 1);
        if (done >= begin_ && done < end_) {
          copy_ahead<kBytes>(to + s * F::kStreams * kWalkThreads, sum_, true);
        }
        sum_ += a_.dx_stride;
      }
    }
    end_stage();
  }

  /// Bit s: a sequence starts at t + s.
  __device__ unsigned starts_from(int t) const {
    unsigned starts = 0;
    if (F::packed(a_)) {
#pragma unroll
      for (int s = 0; s < W; s++) {
        starts |= starts_at(a_, b_, t + s) ? 1u << s : 0u;
      }
    }
    return starts;
  }

  /// W steps; beyond the run's own only what its own rows of dx need.
  template <bool kOwn>
  __device__ void group(int t) {
    const Raw* const from = slots_of(t);
    const unsigned starts = next_starts_;
    if (F::packed(a_)) next_starts_ = starts_from(t + W);
#pragma unroll
    for (int s = 0; s < (kOwn ? W : W - 1); s++) {
      if (F::packed(a_) && (starts >> s & 1) != 0) start_sequence(t, s);
      float c[V], m[V];
      unpack(from + s * F::kStreams * kWalkThreads, window_[s]);
      unpack(from + (s * F::kStreams + 1) * kWalkThreads, c);
      if (F::silu(a_)) {
        multiply(s, m);
#pragma unroll
        for (int k = 0; k < V; k++) {
          c[k] *= silu_derivative(m[k]);
        }
      }
      clear(pending_[s]);
#pragma unroll
      for (int i = 0; i < W; i++) {
        if (!has_tap<W>(a_, i)) continue;
#pragma unroll
        for (int k = 0; k < V; k++) {
          pending_[(s - i) & (W - 1)][k] += taps_.w[i][k] * c[k];
          if (kOwn) dw[i][k] += c[k] * window_[(s - i) & (W - 1)][k];
        }
      }
#pragma unroll
      for (int k = 0; k < V; k++) {
        if (kOwn) dbias[k] += c[k];
      }
      store(from, t, s);
    }
  }

  __device__ void multiply(int s, float (&m)[V]) const {
#pragma unroll
    for (int k = 0; k < V; k++) {
      m[k] = taps_.bias[k];
    }
#pragma unroll
    for (int i = W - 1; i >= 0; i--) {
      if (!has_tap<W>(a_, i)) continue;
#pragma unroll
      for (int k = 0; k < V; k++) {
        m[k] += taps_.w[i][k] * window_[(s - i) & (W - 1)][k];
      }
    }
  }

  /// The row of dx that is complete after step t + s: W - 1 steps back.
  __device__ void store(const Raw* from, int t, int s) {
    const int done = t + s - (W - 1);
    const float(&row)[V] = pending_[(s + 1) & (W - 1)];
    const bool own = done >= first_ && done < end_;
    if constexpr (!F::kPlainRows) {
      if (own) put_input_gradient<V, T>(a_, b_, done, d_, row);
    } else {
      if (own) {
        float sum[V];
        if (F::kSums) unpack(from + (s * F::kStreams + 2) * kWalkThreads, sum);
#pragma unroll
        for (int k = 0; k < V; k++) {
          sum[k] = F::kSums ? sum[k] + row[k] : row[k];
        }
        store_elements<V>(dx_, sum);
      }
      dx_ += a_.dx_stride;
    }
  }

  __device__ void start_sequence(int t, int s) {
#pragma unroll
    for (int i = 1; i < W; i++) {
      const int row = (s - i) & (W - 1), done = t + s - i;
      if (done >= first_ && done < end_) {
        if constexpr (F::kPlainRows) {  // dx_ is at the row of W - 1 steps back
          put_elements<V>(dx_ + (W - 1 - i) * a_.dx_stride, pending_[row], F::kSums);
        } else {
          put_input_gradient<V, T>(a_, b_, done, d_, pending_[row]);
        }
      }
      clear(window_[row]);
    }
    first_ = t + s;
  }

  __device__ static void clear(float (&x)[V]) {
#pragma unroll
    for (int k = 0; k < V; k++) {
      x[k] = 0;
    }
  }
  __device__ static void unpack(const Raw* from, float (&x)[V]) {
    Packed<T, V>{*from}.to(x);
  }

  const Conv1dArgs& a_;
  const Taps<V, W> taps_;
  const std::int64_t d_;
  Raw* const slots_;
  std::int64_t b_ = 0;
  int begin_ = 0, end_ = 0;                                // the run's own steps
  int first_ = 0;                                          // row of dx that it stores
  int limit_ = 0;                                          // of the steps that it looks at
  const T *x_ = nullptr, *dy_ = nullptr, *sum_ = nullptr;  // rows that are fetched next
  T* dx_ = nullptr;                                        // the row that is complete next
  unsigned next_starts_ = 0;
  float window_[W][V], pending_[W][V];  // x, and what is known of dx, of the last W rows
};

}  // namespace farsight::cuda
