// Where the tokens of one head are, and how its rotary dims turn: what the kernels of attention
// share.
#pragma once

#include "cuda/device.cuh"
#include "ops/attention.h"

namespace farsight::cuda {

/// Fills the table of cosines and sines.
void attention_turns(const AttentionArgs& a);

// On tensor cores (attention_matrix.cuh says for which tensors).
namespace attention_matrix {
/// Keeps the first dims of q' and k' in a.turned; before a forward of either kind.
void turn_rows(const AttentionArgs& a);
void forward(const AttentionArgs& a);
/// delta = rowsum(dy y); before a backward of either kind.
void sum_rows(const AttentionArgs& a);
void backward(const AttentionArgs& a);
}  // namespace attention_matrix

// The same by instructions that only Hopper has (attention_hopper.cuh): not in every build.
namespace attention_hopper {
/// Whether the GPU is one and this is the quicker way, for tensors that attention_matrix takes.
bool takes(const AttentionArgs& a);
void forward(const AttentionArgs& a);
void backward(const AttentionArgs& a);
}  // namespace attention_hopper

/// One head of one row of the batch.
template <class T>
struct Head {
  const AttentionArgs& a;
  std::int64_t b, h;

  __device__ Head(const AttentionArgs& args, std::int64_t task)
      : a(args), b(task / args.H), h(task % args.H) {}
  __device__ Head(const AttentionArgs& args, int row, int head) : a(args), b(row), h(head) {}

  __device__ std::int64_t position(std::int64_t t) const {
    return a.position != nullptr ? a.position[b * a.T + t] : t;
  }
  /// The first key that token t sees; never falls from one token to the next.
  __device__ std::int64_t start(std::int64_t t) const { return t - position(t); }
  __device__ std::int64_t row(std::int64_t t) const { return (b * a.H + h) * a.T + t; }
  __device__ T* y(std::int64_t t) const {
    return static_cast<T*>(a.y) + ((b * a.T + t) * a.H + h) * a.head;
  }
  __device__ const T* dy(std::int64_t t) const {
    return static_cast<const T*>(a.dy) + (b * a.T + t) * a.dy_stride + h * a.head;
  }
  /// part 0, 1, 2: q, k, v.
  __device__ const T* qkv(std::int64_t t, int part) const {
    return static_cast<const T*>(a.qkv) + (b * a.T + t) * a.qkv_stride + (h * 3 + part) * a.head;
  }
  __device__ T* dqkv(std::int64_t t, int part) const {
    return static_cast<T*>(a.dqkv) + (b * a.T + t) * a.dqkv_stride + (h * 3 + part) * a.head;
  }
  /// The first turned_dims dims of q' (part 0) or k' (1).
  __device__ T* turned_row(std::int64_t t, int part) const {
    return static_cast<T*>(a.turned) + (((b * a.T + t) * a.H + h) * 2 + part) * a.turned_dims;
  }
  __device__ T* cached(std::int64_t t) const {
    return static_cast<T*>(a.cache) + ((b * a.capacity + t) * a.H + h) * 2 * a.head;
  }
  /// Dim i of x, turned by the angles of token t, or back.
  template <class U>
  __device__ float turned(std::int64_t t, const U* x, int i, bool back = false) const {
    const int half = int(a.rotary / 2);
    if (i >= a.rotary) return to_float(x[i]);
    const int pair = i < half ? i : i - half;
    const float* turns = static_cast<const float*>(a.turns) + position(t) * a.rotary + 2 * pair;
    const float sine = back ? -turns[1] : turns[1];
    const float other = to_float(x[i < half ? i + half : i - half]);
    return to_float(x[i]) * turns[0] + (i < half ? -other : other) * sine;
  }
};

}  // namespace farsight::cuda
