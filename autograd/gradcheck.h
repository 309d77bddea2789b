// Checks a backward against central differences, in f64, with a random cotangent.
//
//   const GradcheckReport report = gradcheck(
//       [](std::span<const Tensor> in) { return std::vector{causal_conv1d(in[0], in[1], in[2])}; },
//       {x, w, bias});
//   if (report.worst > 1e-6) ... report.where says which input and coordinate
//
// A random cotangent matters: a sum with ones forgives every error that cancels (a softmax's, say).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace farsight {

/// Any function from tensors to tensors that is recorded on the tape.
using TensorFunction = std::function<std::vector<Tensor>(std::span<const Tensor>)>;

struct GradcheckOptions {
  double step = 1e-5;              ///< half the distance of the two evaluations
  std::int64_t coordinates = 120;  ///< of each input; beyond it a seeded sample is taken
  std::uint64_t seed = 1;
};

struct GradcheckReport {
  double worst = 0;          ///< largest relative error over all inputs; NaN counts as infinite
  std::string where;         ///< "input 2 at 17: analytic 0.5, numeric 0.4"
  std::int64_t checked = 0;  ///< coordinates and directions compared
};

/// Compares coordinate by coordinate, and, so that no coordinate goes unseen, along random
/// directions through each whole input. A coordinate's error is relative to the larger of its two
/// values, but at least to 1e-3 of the input's largest gradient. Inputs must be f64 on the CPU;
/// those of other types (token ids) are passed through.
GradcheckReport gradcheck(const TensorFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options = {});

/// The gradients of sum_i <cotangent_i, f(inputs)_i> by the tape, one a floating-point input (empty
/// for the others). Empty cotangents leave their output out.
std::vector<Tensor> gradients_of(const TensorFunction& f, const std::vector<Tensor>& inputs,
                                 const std::vector<Tensor>& cotangents);

/// A tensor of standard normal numbers, a function of (seed, stream) alone.
Tensor random_normal(const Shape& shape, DType dtype, std::uint64_t seed, std::uint64_t stream = 0);

}  // namespace farsight
