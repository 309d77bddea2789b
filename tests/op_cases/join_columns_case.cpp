#include "ops/join_columns.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> join_columns_cases() {
  return {OpCase{
      .name = "join_columns",
      .kernels = {"elementwise_backward"},
      .size_names = {"B", "T", "A", "D"},
      .sizes = {{1, 1, 1, 1}, {2, 7, 5, 3}, {3, 13, 8, 17}, {2, 8, 16, 16}},
      .inputs =
          [](const Sizes& s) {
            return std::vector<OpInput>{
                {.name = "a", .shape = {s[0], s[1], s[2]}, .strided = true},
                {.name = "b", .shape = {s[0], s[1], s[3]}, .strided = true}};
          },
      .call = [](std::span<const Tensor> in) { return std::vector{join_columns(in[0], in[1])}; },
      .bench = {},
      .bytes =
          [](const Sizes& s, double size) {
            return 4 * size * static_cast<double>(s[0] * s[1] * (s[2] + s[3]));
          }}};
}

}  // namespace farsight
