// One table an operation: what the harness (tests/op_harness_test.cpp) and the benchmark
// (bench/bench.cpp) need to know about it. A new operation adds NAME_case.cpp here, declares its
// function below and lists it in all.cpp; a test fails if a kernel is in no table.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace farsight {

/// Named sizes of a case, in the order of the operation's own documentation.
using Sizes = std::vector<std::int64_t>;

struct OpInput {
  enum class Kind {
    activation,  ///< of the case's type; may be fed as a strided view
    parameter,   ///< of the accumulator type
    integer      ///< i32, made by `fill`
  };
  const char* name;
  Shape shape;
  Kind kind = Kind::activation;
  double mean = 0, spread = 1;                          ///< normal with these, for the real kinds
  bool strided = false;                                 ///< also tried as columns of a wider tensor
  std::function<std::int32_t(std::int64_t)> fill = {};  ///< integer value of an element
};

struct OpCase {
  const char* name;                  ///< "causal_conv1d, silu"
  std::vector<const char*> kernels;  ///< the FARSIGHT_KERNEL names it drives
  std::vector<const char*> size_names;
  std::vector<Sizes> sizes;  ///< for the tests: odd, one, tile + 3, exact tile
  std::function<std::vector<OpInput>(const Sizes&)> inputs;
  std::function<std::vector<Tensor>(std::span<const Tensor>)> call;
  double f32_tolerance = 4e-6;  ///< norm of the difference from f64 over the norm
  double bf16_tolerance = 8e-3;

  std::vector<Sizes> bench = {};  ///< empty: not timed
  /// Bytes that must move for forward and backward together, at `size` bytes an activation.
  std::function<double(const Sizes&, double size)> bytes = {};
  std::function<double(const Sizes&)> flops = {};  ///< of forward and backward together
};

std::vector<OpCase> linear_cases();
std::vector<OpCase> embedding_cases();
std::vector<OpCase> rms_norm_cases();
std::vector<OpCase> causal_conv1d_cases();
std::vector<OpCase> selective_scan_cases();
std::vector<OpCase> gather_rows_cases();
std::vector<OpCase> elementwise_cases();
std::vector<OpCase> linear_cross_entropy_cases();
std::vector<OpCase> layer_norm_cases();
std::vector<OpCase> gelu_cases();
std::vector<OpCase> attention_cases();
std::vector<OpCase> long_conv_cases();
std::vector<OpCase> implicit_filter_cases();
std::vector<OpCase> dropout_cases();
std::vector<OpCase> rotate_pairs_cases();
std::vector<OpCase> wide_attention_cases();
std::vector<OpCase> shrunk_taps_cases();
std::vector<OpCase> join_columns_cases();
std::vector<OpCase> wkv_cases();
std::vector<OpCase> token_shift_cases();

/// All of them.
std::vector<OpCase> op_cases();

/// The inputs of a case as tensors: the reals rounded to `dtype` (parameters to its accumulator).
std::vector<Tensor> make_inputs(const std::vector<OpInput>& inputs, DType dtype,
                                std::uint64_t seed);

}  // namespace farsight
