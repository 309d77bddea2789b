// Softmax and loss of logits [R, V], and their gradient written over them.
//
// A block owns a row. Its threads take 16-byte vectors in turn (scalars before the first aligned
// address and after the last), each keeping its own running maximum, the sum of exponentials below
// it, and where the maximum first stands; the threads' triples are then joined in a fixed order.
// Floor: forward reads the logits once, backward reads and writes them once (row by row: what the
// forward of the head left in L2 is read from there).
#include "cuda/device.cuh"
#include "ops/linear_cross_entropy.h"

namespace farsight::cuda {
namespace {

constexpr int kFewThreads = 128, kManyThreads = 512;
constexpr std::int64_t kManyColumns = 4096;
constexpr int kSumThreads = 1024;
constexpr float kLowest = -1e38f;  // stands for minus infinity where a difference is taken

/// Calls f(v, x[]) for the elements that this thread owns, in increasing order of v: vectors whole,
/// the edges one by one. `alike`: the same elements whatever the row's address, so that equal rows have
/// equal bits; one by one where rows begin at odd addresses.
template <class T, int kThreads, class One, class Many>
__device__ inline void for_each_owned(const T* row, std::int64_t V, bool alike, One one,
                                      Many many) {
  constexpr int N = kVector<T>;
  if (alike && V % N != 0) {
    for (std::int64_t v = threadIdx.x; v < V; v += kThreads) {
      one(v);
    }
    return;
  }
  const int to_aligned =
      static_cast<int>((16 - reinterpret_cast<std::uintptr_t>(row) % 16) % 16 / sizeof(T));
  const std::int64_t head = to_aligned < V ? to_aligned : V;
  const std::int64_t vectors = (V - head) / N;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < head) one(thread);
#pragma unroll 2
  for (std::int64_t i = thread; i < vectors; i += kThreads) {
    many(head + i * N);
  }
  const std::int64_t tail = head + vectors * N + thread;
  if (tail < V) one(tail);
}

/// Largest value and where it first stands, and the sum of exp(x - most).
struct Running {
  float most = kLowest, sum = 0;
  float best = -INFINITY;
  int at = 0x7fffffff;
};

/// Of equal values the lower index wins, so the order of joining does not matter to `at`; it does to
/// the rounding of `sum`, and is fixed.
__device__ inline Running join(const Running& a, const Running& b) {
  Running c;
  c.most = fmaxf(a.most, b.most);
  c.sum = a.sum * __expf(a.most - c.most) + b.sum * __expf(b.most - c.most);
  const bool first = a.best > b.best || (a.best == b.best && a.at <= b.at);
  c.best = first ? a.best : b.best;
  c.at = first ? a.at : b.at;
  return c;
}

__device__ inline Running shuffled(const Running& r, int offset) {
  Running other;
  other.most = __shfl_xor_sync(0xffffffffu, r.most, offset);
  other.sum = __shfl_xor_sync(0xffffffffu, r.sum, offset);
  other.best = __shfl_xor_sync(0xffffffffu, r.best, offset);
  other.at = __shfl_xor_sync(0xffffffffu, r.at, offset);
  return other;
}

template <class T, int kThreads>
__global__ void __launch_bounds__(kThreads) forward(const __grid_constant__ CrossEntropyArgs a) {
  constexpr int N = kVector<T>;
  constexpr int kWarps = kThreads / 32;
  const std::int64_t i = blockIdx.x;
  const T* row = static_cast<const T*>(a.logits) + i * a.V;
  Running mine;
  const auto see = [&](float x, std::int64_t v) {
    if (x > mine.best) {
      mine.best = x;
      mine.at = static_cast<int>(v);
    }
  };
  const auto raise = [&](float most) {
    if (most > mine.most) {
      mine.sum *= __expf(mine.most - most);
      mine.most = most;
    }
  };
  for_each_owned<T, kThreads>(
      row, a.V, a.alike,
      [&](std::int64_t v) {
        const float x = to_float(row[v]);
        see(x, v);
        raise(x);
        mine.sum += __expf(x - mine.most);
      },
      [&](std::int64_t v) {
        float x[N];
        load_vector(row + v, x);
        float most = x[0];
#pragma unroll
        for (int k = 0; k < N; k++) {
          see(x[k], v + k);
          most = fmaxf(most, x[k]);
        }
        raise(most);
#pragma unroll
        for (int k = 0; k < N; k++) {
          mine.sum += __expf(x[k] - mine.most);  // NaN stays NaN: the loss must show it
        }
      });
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) {
    const Running other = shuffled(mine, offset);
    // The lower lane's share first, on both sides: every lane gets the same bits.
    mine = (threadIdx.x & unsigned(offset)) == 0 ? join(mine, other) : join(other, mine);
  }
  __shared__ Running shares[kWarps];
  if (threadIdx.x % 32 == 0) shares[threadIdx.x / 32] = mine;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kWarps; warp++) {
    mine = join(mine, shares[warp]);
  }
  if (a.predictions != nullptr) {
    a.predictions[i] = mine.at < a.V ? mine.at : 0;  // nothing stands out in a row of NaN
  }
  if (a.targets == nullptr) return;
  const std::int64_t target = a.targets[i];
  const bool inside = target >= 0 && target < a.V;
  const float log_sum = mine.most + logf(mine.sum);
  static_cast<float*>(a.log_sums)[i] = log_sum;
  // Another target outside the vocabulary reads nothing: its loss is NaN, which stops the training.
  const float loss = inside ? log_sum - to_float(row[target]) : NAN;
  static_cast<float*>(a.losses)[i] = target == -1 ? 0.0f : loss;
}

template <class T, int kThreads>
__global__ void __launch_bounds__(kThreads) backward(const __grid_constant__ CrossEntropyArgs a) {
  constexpr int N = kVector<T>;
  const std::int64_t i = blockIdx.x;
  T* row = static_cast<T*>(a.logits) + i * a.V;
  const std::int64_t target = a.targets[i];
  const float factor =
      target == -1 ? 0.0f : *static_cast<const float*>(a.dloss) * static_cast<float>(a.scale);
  const float log_sum = static_cast<const float*>(a.log_sums)[i];
  const auto gradient = [&](float x, std::int64_t v) {
    const float chance = __expf(x - log_sum);
    return factor * (v == target ? chance - 1.0f : chance);
  };
  for_each_owned<T, kThreads>(
      row, a.V, false,
      [&](std::int64_t v) { row[v] = from_float<T>(gradient(to_float(row[v]), v)); },
      [&](std::int64_t v) {
        float x[N];
        load_vector(row + v, x);
#pragma unroll
        for (int k = 0; k < N; k++) {
          x[k] = gradient(x[k], v + k);
        }
        store_vector(row + v, x);
      });
}

/// One block: thread k sums values k, k + 1024, ... in f64, then the threads' sums are added by
/// halves.
__global__ void __launch_bounds__(kSumThreads) sum(const __grid_constant__ SumArgs a) {
  __shared__ double shares[kSumThreads];
  const float* values = static_cast<const float*>(a.values);
  const int thread = static_cast<int>(threadIdx.x);
  double total = 0;
  for (std::int64_t i = thread; i < a.count; i += kSumThreads) {
    total += static_cast<double>(values[i]);
  }
  shares[thread] = total;
  for (int half = kSumThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (thread < half) shares[thread] += shares[thread + half];
  }
  if (thread == 0) *static_cast<float*>(a.sum) = static_cast<float>(shares[0] * a.scale);
}

/// Calls f.template operator()<T, kThreads>() with as many threads as a row of V can use.
template <class F>
void with_threads(const CrossEntropyArgs& a, const char* kernel, F f) {
  with_device_type(a.type, kernel, [&]<class T>() {
    if (a.V < kManyColumns) {
      f.template operator()<T, kFewThreads>();
    } else {
      f.template operator()<T, kManyThreads>();
    }
  });
}

}  // namespace

void cross_entropy_forward(const CrossEntropyArgs& a) {
  if (a.R == 0) return;
  with_threads(a, "cross_entropy_forward", [&]<class T, int kThreads>() {
    forward<T, kThreads><<<static_cast<unsigned>(a.R), kThreads, 0, stream()>>>(a);
  });
  launched("cross_entropy_forward");
}

void cross_entropy_backward(const CrossEntropyArgs& a) {
  if (a.R == 0) return;
  with_threads(a, "cross_entropy_backward", [&]<class T, int kThreads>() {
    backward<T, kThreads><<<static_cast<unsigned>(a.R), kThreads, 0, stream()>>>(a);
  });
  launched("cross_entropy_backward");
}

void sum_forward(const SumArgs& a) {
  if (a.type != DType::f32) unsupported("sum_forward", name_of(a.type));
  sum<<<1, kSumThreads, 0, stream()>>>(a);
  launched("sum_forward");
}

}  // namespace farsight::cuda
