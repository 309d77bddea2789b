#include "ops/rotate_pairs.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> rotate_pairs_cases() {
  const auto one = [](const char* name, bool packed) {
    return OpCase{
        .name = name,
        .kernels = {"rotate_table", "rotate_pairs"},
        .size_names = {"B", "T", "D"},
        .sizes = {{1, 1, 2}, {2, 7, 6}, {3, 13, 16}, {1, 40, 10}},
        .inputs =
            [packed](const Sizes& s) {
              std::vector<OpInput> inputs = {
                  {.name = "x", .shape = {s[0], s[1], s[2]}, .strided = true}};
              if (packed) {
                inputs.push_back({.name = "position",
                                  .shape = {s[0], s[1]},
                                  .kind = OpInput::Kind::integer,
                                  .fill = [T = s[1]](std::int64_t i) {
                                    return static_cast<std::int32_t>(i % T % 5);
                                  }});
              }
              return inputs;
            },
        .call =
            [packed](std::span<const Tensor> in) {
              return std::vector{packed ? rotate_pairs(in[0], {.position = &in[1]})
                                        : rotate_pairs(in[0], {.base = 1000, .first = 3})};
            },
        .bench = {},
        .bytes = [](const Sizes& s,
                    double size) { return 4 * size * static_cast<double>(s[0] * s[1] * s[2]); }};
  };
  return {one("rotate_pairs", false), one("rotate_pairs, packed", true)};
}

}  // namespace farsight
