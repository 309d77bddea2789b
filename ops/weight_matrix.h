// What an operation that mixes tokens does to a channel, as a matrix: y[t] = sum_{s <= t} W[t,s] x[s].
// There is one W a channel (a head, in attention); these operations give the mean of all of them,
// without ever holding more than that mean:
//
//   hidden_attention   Mamba    ops/hidden_attention.h
//   long_conv_weights  Hyena    ops/long_conv_weights.h
//   wkv_weights        RWKV     ops/wkv_weights.h
//   attention_weights  Pythia   ops/attention_weights.h
//
//   M[r,s] = mean over channels c of W_c[row + r, s]   (or of its absolute value), 0 for s > row + r
//
// They take the arguments of their operation (one sequence, not packed, from its beginning), give
// [rows, T] in f32 (f64 for f64), sums in the same, and have no gradient. A long sequence is taken in
// pieces of `rows`; one channel's matrix is asked for with channels = 1.
#pragma once

#include "ops/kernel.h"

namespace farsight {

/// Which rows of the mean over which channels.
struct MatrixPart {
  bool absolute = false;       ///< the mean of |W| instead of that of W
  std::int64_t row = 0;        ///< the first
  std::int64_t rows = -1;      ///< how many; -1: all that follow
  std::int64_t channel = 0;    ///< the first, or the first head
  std::int64_t channels = -1;  ///< how many; -1: all that follow
};

/// How all four kernels are asked for it.
struct MatrixArgs {
  void* m = nullptr;        // [rows, T]
  void* partial = nullptr;  // CUDA: [shares, rows, T], the sums over a share of the channels
  std::int64_t T = 0, row = 0, rows = 0;
  std::int64_t channel = 0, channels = 0, shares = 0;
  bool absolute = false;
  DType type = DType::f32;  // of everything: f32 or f64
};

/// `part` of a sequence of T tokens and `channels` channels, checked, with its memory; `op` is the
/// name in messages.
MatrixArgs matrix_args(const char* op, const MatrixPart& part, std::int64_t T,
                       std::int64_t channels, const Tensor& like, Tensor& m, Tensor& partial);

}  // namespace farsight
