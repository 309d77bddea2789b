#include <algorithm>

#include "autograd/gradcheck.h"
#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> op_cases() {
  std::vector<OpCase> all;
  for (auto* cases : {linear_cases,
                      embedding_cases,
                      rms_norm_cases,
                      causal_conv1d_cases,
                      selective_scan_cases,
                      gather_rows_cases,
                      elementwise_cases,
                      linear_cross_entropy_cases,
                      layer_norm_cases,
                      gelu_cases,
                      attention_cases,
                      dropout_cases,
                      rotate_pairs_cases,
                      wide_attention_cases,
                      shrunk_taps_cases,
                      join_columns_cases,
                      wkv_cases,
                      token_shift_cases,
                      long_conv_cases,
                      implicit_filter_cases}) {
    std::ranges::move(cases(), std::back_inserter(all));
  }
  return all;
}

std::vector<Tensor> make_inputs(const std::vector<OpInput>& inputs, DType dtype,
                                std::uint64_t seed) {
  std::vector<Tensor> made;
  for (const OpInput& input : inputs) {
    if (input.kind == OpInput::Kind::integer) {
      Tensor t = Tensor::empty(input.shape, DType::i32);
      for (std::int64_t i = 0; i < t.elements(); i++) {
        t.data<std::int32_t>()[i] = input.fill(i);
      }
      made.push_back(t);
      continue;
    }
    const Tensor t = random_normal(input.shape, DType::f64, seed, made.size());
    for (double& x : t.span<double>()) {
      x = input.mean + input.spread * x;
    }
    // Rounded to the type under test first, whatever type it is then computed in.
    const bool parameter = input.kind == OpInput::Kind::parameter;
    made.push_back(t.to(parameter ? accumulator_of(dtype) : dtype));
  }
  return made;
}

}  // namespace farsight
