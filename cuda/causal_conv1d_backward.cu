// Short kernels backward, K <= 8. A thread owns V channels and walks a run of time steps: m is computed
// again from the last W rows of x, c = dy silu'(m), and c goes to dw, dbias and the last W rows of dx,
// the oldest of which is then complete. A run looks W - 1 steps beyond its end for the dx of its last
// rows. Rows of x and dx stand in rings of registers: row t in place t mod W, so that with W steps at
// a time every index is a constant and nothing moves.
//
// What limits a thread is waiting for memory, so the next rows of x and dy (and of the dx that is
// added to) are on their way to its slots in shared memory kAhead groups of W steps ahead; what lies
// beyond T comes as zeros, which makes c zero there without a test.
//
// Packed rows: where a sequence starts the rows of x before it are zeros and the rows of dx before it
// are complete: they are stored at once, and `first` keeps what c adds to them later from memory.
//
// A block has kLanes columns of threads (V channels each) and several rows of them, one run each; it
// walks through its share of the runs with dw and dbias in registers, and adds its rows up in order
// into partial[share].
//
// Floor: 3 B T D elements (4 where dx is added to).
#include "cuda/causal_conv1d_short.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kMostLanes = 64;
constexpr int kAhead = 3, kStages = kAhead + 1;
constexpr int kLongRun = 64, kShortRun = 16;

/// What an instance knows of its arguments at compile time; where kKnown is false it asks.
template <bool kKnown, bool kPacked = false, bool kAdds = false>
struct Facts {
  static constexpr bool kPlainRows = kKnown;      // no history; dx goes to dx
  static constexpr bool kSums = kKnown && kAdds;  // dx is added to what is there
  static constexpr int kStreams = kSums ? 3 : 2;  // x, dy, that dx
  __device__ static bool silu(const Conv1dArgs& a) { return kKnown || a.silu; }
  __device__ static bool packed(const Conv1dArgs& a) {
    return kKnown ? kPacked : a.position != nullptr;
  }
};

/// How the work is cut: every row of B into `per_row` runs of `length` steps, a multiple of W.
struct Runs {
  int length = 0, per_row = 0;
  std::int64_t count = 0;
};

template <class T, int V, int W, class F>
class Walk {
 public:
  using Raw = typename Packed<T, V>::Raw;
  static constexpr int kSlots = kStages * W * F::kStreams;  // of a thread

  float dw[W][V] = {}, dbias[V] = {};  // dw[i] belongs to x i steps back

  __device__ Walk(const Conv1dArgs& a, std::int64_t d, Raw* slots)
      : a_(a), taps_(a, d), d_(d), slots_(slots + threadIdx.y * blockDim.x + threadIdx.x) {}

  __device__ void run(std::int64_t b, int begin, int length) {
    begin_run(b, begin, length);
    int t = begin;
#pragma unroll 1
    for (; t < end_; t += W) {
      fetch(t + kAhead * W);
      await_stages<kAhead>();
      group<true>(t);
    }
    // The rows of dx that are not complete yet.
    fetch(t + kAhead * W);
    await_stages<kAhead>();
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
    const unsigned stage = unsigned(t - begin_) / W % kStages;
    return slots_ + stage * (W * F::kStreams * kThreads);
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
    for (int group = 0; group < kAhead; group++) {
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
        row.unpack(x);
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
        copy_ahead<kBytes>(to + s * F::kStreams * kThreads, x_, there);
        copy_ahead<kBytes>(to + (s * F::kStreams + 1) * kThreads, dy_, there);
        x_ += a_.x_stride;
        dy_ += a_.D;
      }
    }
    if constexpr (F::kSums) {
      Raw* to = slots_of(t) + 2 * kThreads;
#pragma unroll
      for (int s = 0; s < W; s++) {
        const int done = t + s - (W - 1);
        if (done >= begin_ && done < end_) {
          copy_ahead<kBytes>(to + s * F::kStreams * kThreads, sum_, true);
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
      unpack(from + s * F::kStreams * kThreads, window_[s]);
      unpack(from + (s * F::kStreams + 1) * kThreads, c);
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
        if (F::kSums) unpack(from + (s * F::kStreams + 2) * kThreads, sum);
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
    Packed<T, V>{*from}.unpack(x);
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

template <class T, int V, int W, class F>
__global__ void __launch_bounds__(kThreads, W == 4 ? 2 : 1)
    conv_backward(const __grid_constant__ Conv1dArgs a, const __grid_constant__ Runs runs,
                  unsigned column_blocks) {
  extern __shared__ uint4 shared[];
  using W_ = Walk<T, V, W, F>;
  const std::int64_t share = blockIdx.x / column_blocks;
  const std::int64_t column = std::int64_t(blockIdx.x % column_blocks) * blockDim.x * V;
  const std::int64_t d = column + threadIdx.x * V;
  float dw[W][V] = {}, dbias[V] = {};
  if (d < a.D) {
    W_ walk(a, d, reinterpret_cast<typename W_::Raw*>(shared));
    const std::int64_t end = runs.count * (share + 1) / a.shares;
#pragma unroll 1
    for (std::int64_t at = runs.count * share / a.shares + threadIdx.y; at < end;
         at += blockDim.y) {
      const std::int64_t b = at / runs.per_row;
      walk.run(b, int(at - b * runs.per_row) * runs.length, runs.length);
    }
#pragma unroll
    for (int k = 0; k < V; k++) {
      dbias[k] = walk.dbias[k];
#pragma unroll
      for (int i = 0; i < W; i++) {
        dw[i][k] = walk.dw[i][k];
      }
    }
  }

  // The rows of the block, one tap at a time. A thread then sums one channel of them.
  __shared__ float rows[kThreads * V];
  const int width = int(blockDim.x) * V, me = int(threadIdx.y * blockDim.x + threadIdx.x);
  float* partial = static_cast<float*>(a.partial) + share * (a.K + 1) * a.D;
#pragma unroll
  for (int i = 0; i <= W; i++) {
    if (i < W && !has_tap<W>(a, i)) continue;  // the whole grid
    __syncthreads();
#pragma unroll
    for (int k = 0; k < V; k++) {
      rows[me * V + k] = i < W ? dw[i < W ? i : 0][k] : dbias[k];
    }
    __syncthreads();
    for (int from = me; from < width; from += kThreads) {
      float total = 0;
      for (int row = 0; row < int(blockDim.y); row++) {
        total += rows[row * width + from];
      }
      if (column + from < a.D) partial[(i < W ? a.K - 1 - i : a.K) * a.D + column + from] = total;
    }
  }
}

template <class T, int V, int W, class F>
void launch(const Conv1dArgs& a) {
  const std::int64_t columns = (a.D + V - 1) / V;
  unsigned lanes = kMostLanes;
  while (lanes > 1 && lanes / 2 >= columns) {
    lanes /= 2;
  }
  const unsigned rows = kThreads / lanes;
  Runs runs;
  int longest = kLongRun;
  do {  // long runs look little ahead; but there should be one for every row of every block
    runs.per_row = int((a.T + longest - 1) / longest);
    runs.length = int((a.T + runs.per_row - 1) / runs.per_row + W - 1) / W * W;
    runs.count = a.B * runs.per_row;
    longest /= 2;
  } while (longest >= kShortRun && runs.count < a.shares * rows);
  constexpr int kBytes = Walk<T, V, W, F>::kSlots * kThreads * V * int(sizeof(T));
  succeeded(cudaFuncSetAttribute(conv_backward<T, V, W, F>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes),
            "cudaFuncSetAttribute");
  const unsigned column_blocks = unsigned((columns + lanes - 1) / lanes);
  conv_backward<T, V, W, F>
      <<<unsigned(a.shares) * column_blocks, dim3(lanes, rows), kBytes, stream()>>>(a, runs,
                                                                                    column_blocks);
}

}  // namespace

void short_conv1d_backward(const Conv1dArgs& a) {
  with_short_instance(a, "causal_conv1d_backward", [&]<class T, int V, int W>() {
    const bool known = a.silu && a.dx != nullptr && a.history == nullptr && a.dhistory == nullptr;
    if constexpr (W == 4 && V > 1) {
      if (known && a.position == nullptr) {
        return a.dx_add ? launch<T, V, W, Facts<true, false, true>>(a)
                        : launch<T, V, W, Facts<true, false, false>>(a);
      }
      if (known) {
        return a.dx_add ? launch<T, V, W, Facts<true, true, true>>(a)
                        : launch<T, V, W, Facts<true, true, false>>(a);
      }
    }
    launch < T, V<2 ? V : 2, W, Facts<false>>(a);  // the tests take registers
  });
  launched("causal_conv1d_backward");
}

}  // namespace farsight::cuda
