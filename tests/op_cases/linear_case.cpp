#include "ops/linear.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> linear_cases() {
  const auto inputs = [](const Sizes& s) {
    return std::vector<OpInput>{
        {.name = "x", .shape = {s[0], s[1], s[2]}, .strided = true},
        {.name = "w", .shape = {s[3], s[2]}, .spread = 0.5},
        {.name = "bias", .shape = {s[3]}, .kind = OpInput::Kind::parameter}};
  };
  const auto flops = [](const Sizes& s) {
    return 6.0 * static_cast<double>(s[0] * s[1]) * static_cast<double>(s[2] * s[3]);
  };
  OpCase with_bias{
      .name = "linear, bias",
      .kernels = {"linear_forward", "linear_backward"},
      .size_names = {"B", "T", "K", "N"},
      .sizes = {{1, 1, 1, 1}, {2, 7, 5, 3}, {3, 65, 33, 17}, {1, 130, 16, 64}},
      .inputs = inputs,
      .call = [](std::span<const Tensor> in) { return std::vector{linear(in[0], in[1], &in[2])}; }};
  OpCase plain{.name = "linear",
               .kernels = {"linear_forward", "linear_backward"},
               .size_names = {"B", "T", "K", "N"},
               .sizes = {{1, 1, 1, 1}, {2, 7, 5, 3}, {1, 131, 48, 40}},
               .inputs =
                   [inputs](const Sizes& s) {
                     auto all = inputs(s);
                     all.pop_back();
                     return all;
                   },
               .call = [](std::span<const Tensor> in) { return std::vector{linear(in[0], in[1])}; },
               .bench = {{64, 64, 64, 256}, {16, 512, 256, 1024}, {8, 512, 768, 3072}},
               .bytes =
                   [](const Sizes& s, double size) {
                     const double M = static_cast<double>(s[0] * s[1]);
                     const double K = static_cast<double>(s[2]), N = static_cast<double>(s[3]);
                     return size * (3 * M * K + 3 * M * N) + 4 * 3 * K * N;
                   },
               .flops = flops};
  with_bias.bf16_tolerance = 1.2e-2;  // CUDA rounds the bias too
  return {with_bias, plain};
}

}  // namespace farsight
