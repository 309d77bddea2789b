// The head and its loss in one operation, so that the logits never exist all at once:
//
//   logits = x w^T      loss = scale * sum_i ( log sum_v exp(logits[i,v]) - logits[i, targets[i]] )
//
//   x: [R, D] activations of labelled positions (gather_rows)    w: [V, D], of the type of x
//   targets: [R] i32 in [0, V), or -1: the row counts for nothing (padding)
//   loss: [1] f32 (f64), 0 when no row counts
//   scale: 1 / number of labels of the whole global batch, whatever share of it R is
// Rows go through in chunks. The logits are kept for the backward, and overwritten there by their
// gradient scale (softmax - onehot), while they fit into 256 MiB (8 GiB on a GPU); beyond that
// backward computes them again, chunk by chunk. *predictions (optional): [R] i32, the argmax, the lowest index of
// equals.
#pragma once

#include "ops/kernel.h"

namespace farsight {

Tensor linear_cross_entropy(const Tensor& x, const Tensor& w, const Tensor& targets, double scale,
                            Tensor* predictions = nullptr);

/// argmax over the last dimension of logits [R, V]: [R] i32.
Tensor argmax_rows(const Tensor& logits);

/// losses[i] = log sum_v exp(logits[i,v]) - logits[i, targets[i]], 0 where targets[i] is -1, and the
/// argmax of each row, both written where they are wanted; outside the tape. What a row gives
/// depends on its numbers alone, bit by bit, and not on its place among the others.
///   logits: [R, V], dense   targets: [R] i32   losses: [R] f32 (f64)   predictions: [R] i32
void cross_entropy_rows(const Tensor& logits, const Tensor& targets, const Tensor& losses,
                        const Tensor& predictions);

struct CrossEntropyArgs {
  void* logits = nullptr;                 // [R, V]; backward overwrites them by their gradient
  const std::int32_t* targets = nullptr;  // [R], -1: no loss, no gradient; null: argmax only
  void* losses = nullptr;                 // [R] f32 (f64): a row's loss, unscaled
  void* log_sums = nullptr;               // [R] f32 (f64): log sum exp
  std::int32_t* predictions = nullptr;    // [R] or null
  const void* dloss = nullptr;            // [1] f32 (f64)
  std::int64_t R = 0, V = 0;
  double scale = 1;
  bool alike = false;  // equal rows have equal bits, whatever their addresses
  DType type = DType::f32;
};

/// loss[0] = (add ? loss[0] : 0) + scale * sum of values, in a fixed order.
struct SumArgs {
  const void* values = nullptr;
  void* sum = nullptr;
  std::int64_t count = 0;
  double scale = 1;
  DType type = DType::f32;  // of values and sum
};

}  // namespace farsight

FARSIGHT_KERNEL(cross_entropy_forward, CrossEntropyArgs)
FARSIGHT_KERNEL(cross_entropy_backward, CrossEntropyArgs)
FARSIGHT_KERNEL(sum_forward, SumArgs)
