// Hidden attention, tile by tile (weight_matrix.cuh). Where all sources s of a tile come before its
// first target b, exp(A (S[t] - S[s])) = exp(A (S[t] - S[b])) exp(A (S[b] - S[s])), neither above 1:
// the tile of a channel is a product of two matrices [64, N], and what would be 64 x 64 x N
// exponentials are 2 x 64 x N. On the diagonal every entry has its own N.
//
// Floor: T^2 / 2 x channels x N fused multiply-adds; T = 512, 1536 channels, N = 16 on an H100: 0.11 ms,
// and 0.3 ms for the exponentials of the diagonal's tiles.
#include "ops/hidden_attention.h"

#include "cuda/weight_matrix.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kGroup = 16;  // states at a time

/// A thread an element.
__global__ void __launch_bounds__(kThreads)
    make_times(const __grid_constant__ HiddenAttentionArgs a) {
  const std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= a.matrix.T * a.D) return;
  float p = static_cast<const float*>(a.delta)[i];
  if (a.gate != nullptr) p *= static_cast<const float*>(a.gate)[i];
  p += static_cast<const float*>(a.bias)[i % a.D];
  static_cast<float*>(a.dt)[i] = p > 20.0f ? p : fmaxf(p, 0.0f) + log1pf(expf(-fabsf(p)));
}

/// A thread a channel; loads run a few steps ahead of the additions.
__global__ void __launch_bounds__(32) add_times(const __grid_constant__ HiddenAttentionArgs a) {
  constexpr int kAhead = 16;
  const std::int64_t d = std::int64_t(blockIdx.x) * 32 + threadIdx.x;
  if (d >= a.D) return;
  const float* dt = static_cast<const float*>(a.dt) + d;
  float *S = static_cast<float*>(a.S) + d, *rest = static_cast<float*>(a.rest) + d;
  float hi = 0, lo = 0;
  for (std::int64_t t = 0; t < a.matrix.T; t += kAhead) {
    float x[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; i++) {
      x[i] = t + i < a.matrix.T ? dt[(t + i) * a.D] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < kAhead; i++) {
      const float sum = hi + x[i], of_x = sum - hi;
      lo += (hi - (sum - of_x)) + (x[i] - of_x);
      hi = sum;
      if (t + i >= a.matrix.T) continue;
      S[(t + i) * a.D] = hi;
      rest[(t + i) * a.D] = lo;
    }
  }
}

/// kGroups groups of states hold N, and a thread keeps what it stages of B and C; 0: any number of
/// groups, loaded anew for every channel.
template <int kGroups>
class HiddenWeigher {
 public:
  static constexpr int kChunk = 8;
  struct alignas(16) Shared {
    float t_S[kChunk][kMatrixRow], t_rest[kChunk][kMatrixRow];
    float s_S[kChunk][kMatrixRow], s_rest[kChunk][kMatrixRow], s_dt[kChunk][kMatrixRow];
    float P[kGroup][kMatrixTile], Q[kGroup][kMatrixTile];
    float rate[kGroup];
  };

  __device__ HiddenWeigher(const HiddenAttentionArgs& a, const MatrixTile& tile, Shared& shared)
      : a_(a), tile_(tile), shared_(shared) {
#pragma unroll
    for (int group = 0; group < kGroups; group++) {
#pragma unroll
      for (int k = 0; k < kOwn; k++) {
        C_[group * kOwn + k] = load(a.C, tile.t, group, k);
        B_[group * kOwn + k] = load(a.B, tile.s, group, k);
      }
    }
  }

  __device__ void stage(int c, int count) {
    first_ = c;
    const auto steps = [&](float(*to)[kMatrixRow], const void* from, int first) {
      stage_steps<kChunk>(to, from, a_.D, first, tile_.end, c, count);
    };
    steps(shared_.t_S, a_.S, tile_.t);
    steps(shared_.t_rest, a_.rest, tile_.t);
    steps(shared_.s_S, a_.S, tile_.s);
    steps(shared_.s_rest, a_.rest, tile_.s);
    steps(shared_.s_dt, a_.dt, tile_.s);
  }

  __device__ void weigh(int channel, float (&w)[4][4]) {
    if constexpr (kGroups > 0) {
#pragma unroll
      for (int group = 0; group < kGroups; group++) {
        add_group(channel, group, w);
      }
    } else {
      for (int group = 0; group * kGroup < a_.N; group++) {
        add_group(channel, group, w);
      }
    }
  }

 private:
  // What a thread stages: states n() ... n() + kOwn - 1 of a group, of step() of the targets and of
  // the sources. All lanes of a warp have the same states.
  static constexpr int kOwn = kGroup * kMatrixTile / kMatrixThreads;
  __device__ static int step() {
    return int(threadIdx.x) % kMatrixTile;
  }
  __device__ static int n() {
    return int(threadIdx.x) / kMatrixTile * kOwn;
  }

  __device__ float load(const void* from, int first, int group, int k) const {
    const int t = first + step(), state = group * kGroup + n() + k;
    const bool there = t < tile_.end && state < a_.N;
    return there ? static_cast<const float*>(from)[std::int64_t(t) * a_.N + state] : 0.0f;
  }
  /// A of a state, so that exp(A x) = 2^(rate x).
  __device__ float rate(int channel, int group, int k) const {
    const int state = group * kGroup + n() + k;
    const std::int64_t at = std::int64_t(first_ + channel) * a_.N + state;
    return state < a_.N ? -expf(static_cast<const float*>(a_.A_log)[at]) * kLog2E : 0.0f;
  }

  __device__ void add_group(int channel, int group, float (&w)[4][4]) {
    const bool before = tile_.before();
    __syncthreads();  // the group before is read
#pragma unroll
    for (int k = 0; k < kOwn; k++) {
      float C, B;
      if constexpr (kGroups > 0) {
        C = C_[group * kOwn + k], B = B_[group * kOwn + k];
      } else {
        C = load(a_.C, tile_.t, group, k), B = load(a_.B, tile_.s, group, k);
      }
      B *= shared_.s_dt[channel][step()];
      const float r = rate(channel, group, k);
      if (before) {
        const float S = shared_.t_S[channel][0], rest = shared_.t_rest[channel][0];
        C *= exp2_approx(
            r * ((shared_.t_S[channel][step()] - S) + (shared_.t_rest[channel][step()] - rest)));
        B *= exp2_approx(
            r * ((S - shared_.s_S[channel][step()]) + (rest - shared_.s_rest[channel][step()])));
      } else if (step() == 0) {
        shared_.rate[n() + k] = r;
      }
      shared_.P[n() + k][step()] = C;
      shared_.Q[n() + k][step()] = B;
    }
    __syncthreads();
    before ? add_products<kGroup>(shared_.P, shared_.Q, place_, w) : add_entries(channel, w);
  }

  __device__ void add_entries(int channel, float (&w)[4][4]) {
    float apart[4][4], t_S[4], t_rest[4], s_S[4], s_rest[4];
    load_four(&shared_.t_S[channel][place_.row], t_S);
    load_four(&shared_.t_rest[channel][place_.row], t_rest);
    load_four(&shared_.s_S[channel][place_.column], s_S);
    load_four(&shared_.s_rest[channel][place_.column], s_rest);
#pragma unroll
    for (int i = 0; i < 4; i++) {
#pragma unroll
      for (int j = 0; j < 4; j++) {
        apart[i][j] = (t_S[i] - s_S[j]) + (t_rest[i] - s_rest[j]);
      }
    }
#pragma unroll 4
    for (int k = 0; k < kGroup; k++) {
      float p[4], q[4];
      load_four(&shared_.P[k][place_.row], p);
      load_four(&shared_.Q[k][place_.column], q);
      const float r = shared_.rate[k];
#pragma unroll
      for (int i = 0; i < 4; i++) {
#pragma unroll
        for (int j = 0; j < 4; j++) {
          // A source behind its target would have an exponential above 1; its entry is not kept.
          w[i][j] = fmaf(p[i] * q[j], exp2_approx(fminf(r * apart[i][j], 0.0f)), w[i][j]);
        }
      }
    }
  }

  const HiddenAttentionArgs& a_;
  const MatrixTile& tile_;
  Shared& shared_;
  MatrixPlace place_;
  int first_ = 0;  // of the staged channels
  float C_[kGroups > 0 ? kGroups*kOwn : 1], B_[kGroups > 0 ? kGroups*kOwn : 1];
};

template <int kGroups>
__global__ void __launch_bounds__(kMatrixThreads, kGroups <= 1 ? 2 : 1)
    weigh(const __grid_constant__ HiddenAttentionArgs a) {
  __shared__ typename HiddenWeigher<kGroups>::Shared shared;
  const MatrixTile tile(a.matrix);
  if (tile.above()) return;
  HiddenWeigher<kGroups> weigher(a, tile, shared);
  sum_tile(a.matrix, tile, weigher);
}

}  // namespace

void scan_times(const HiddenAttentionArgs& a) {
  if (a.matrix.type != DType::f32) unsupported("scan_times", "f64");
  make_times<<<blocks_for(a.matrix.T * a.D, kThreads), kThreads, 0, stream()>>>(a);
  launched("scan_times");
  if (a.S == nullptr) return;
  add_times<<<blocks_for(a.D, 32), 32, 0, stream()>>>(a);
  launched("scan_times, sums");
}

void hidden_attention(const HiddenAttentionArgs& a) {
  if (a.matrix.type != DType::f32) unsupported("hidden_attention", "f64");
  const dim3 grid = matrix_grid(a.matrix);
  if (a.N <= kGroup) {
    weigh<1><<<grid, kMatrixThreads, 0, stream()>>>(a);
  } else if (a.N <= 2 * kGroup) {
    weigh<2><<<grid, kMatrixThreads, 0, stream()>>>(a);
  } else if (a.N <= 4 * kGroup) {
    weigh<4><<<grid, kMatrixThreads, 0, stream()>>>(a);
  } else {
    weigh<0><<<grid, kMatrixThreads, 0, stream()>>>(a);
  }
  launched("hidden_attention");
  finish_matrix(a.matrix);
}

}  // namespace farsight::cuda
