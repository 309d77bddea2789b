#include "ops/gelu.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> gelu_cases() {
  OpCase exact{
      .name = "gelu",
      .kernels = {"gelu_forward", "gelu_backward"},
      .size_names = {"B", "T", "D"},
      .sizes = {{1, 1, 1}, {2, 7, 5}, {3, 65, 17}},
      .inputs =
          [](const Sizes& s) {
            return std::vector<OpInput>{
                {.name = "x", .shape = {s[0], s[1], s[2]}, .spread = 2, .strided = true}};
          },
      .call = [](std::span<const Tensor> in) { return std::vector{gelu(in[0])}; },
      .bench = {{16, 512, 1024}},
      .bytes = [](const Sizes& s,
                  double size) { return 5 * size * static_cast<double>(s[0] * s[1] * s[2]); }};
  OpCase tanh = exact;
  tanh.name = "gelu, tanh";
  tanh.call = [](std::span<const Tensor> in) { return std::vector{gelu(in[0], Gelu::tanh)}; };
  tanh.bench = {};
  return {exact, tanh};
}

}  // namespace farsight
