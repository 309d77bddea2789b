// Dropout (Srivastava et al., 2014) with random numbers by counter: nothing is stored for the way
// back, and a pass that is repeated drops the same elements, on every device.
//
//   y = x m / (1 - p),   m = 0 where the element's random word is below p 2^32, else 1
//   dx = dy m / (1 - p)
//   x, y: [..., D], rows of x may be strided
// Element e = n D + column of x has word e mod 4 of Philox4x32-10 at counter (stream, e / 4) under
// the key `pass`, where n is the number of its row: the row itself, or what `pass` says. With
// `shared_rows` = T the rows of a sequence of T share the mask of its first, which counts as row / T
// where `pass` says nothing.
#pragma once

#include "ops/kernel.h"

namespace farsight {

struct DropoutOptions {
  double p = 0;  ///< share that is dropped, 0 <= p < 1
  /// i32 on the device of x: the halves, low first, of what the random numbers of one pass over the
  /// data are keyed by; and after them, or not, the number of each row, as unsigned. Rows that are
  /// numbered as tokens of the whole batch get the same mask however the batch is cut. It is read
  /// when the kernel runs, so a graph may start again with another pass. Null: evaluation, nothing
  /// is dropped.
  const Tensor* pass = nullptr;
  std::uint64_t stream = 0;  ///< which dropout of the model: hash_name("dropout/layer 3")
  std::int64_t shared_rows = 1;
};

/// x itself when nothing is dropped.
Tensor dropout(const Tensor& x, const DropoutOptions& options);

struct DropoutArgs {
  const void* x = nullptr;
  void* y = nullptr;
  bool y_add = false;
  const std::int32_t* pass = nullptr;
  bool numbered = false;  ///< pass goes on with a number for each row
  std::uint64_t stream = 0;
  std::uint32_t threshold = 0;  ///< words below it drop
  double scale = 1;
  std::int64_t rows = 0, columns = 0, shared_rows = 1;
  std::int64_t x_stride = 0, y_stride = 0;
  DType type = DType::f32;
};

}  // namespace farsight

FARSIGHT_KERNEL(dropout_apply, DropoutArgs)
