#include "ops/gather_rows.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> gather_rows_cases() {
  OpCase c{
      .name = "gather_rows",
      .kernels = {"gather_rows_forward", "gather_rows_backward"},
      .size_names = {"B", "T", "D", "R"},
      .sizes = {{1, 1, 1, 1}, {2, 7, 5, 4}, {3, 131, 17, 25}, {2, 8, 3, 16}},
      .inputs =
          [](const Sizes& s) {
            const std::int64_t rows = s[0] * s[1], R = s[3];
            return std::vector<OpInput>{
                {.name = "x", .shape = {s[0], s[1], s[2]}, .strided = true},
                {.name = "rows",
                 .shape = {R},
                 .kind = OpInput::Kind::integer,
                 .fill = [=](std::int64_t i) {
                   return static_cast<std::int32_t>((i * rows + rows / 2) / R);
                 }}};
          },
      .call = [](std::span<const Tensor> in) { return std::vector{gather_rows(in[0], in[1])}; },
      .bench = {{64, 64, 64, 240}, {16, 512, 256, 560}},
      .bytes =
          [](const Sizes& s, double size) {
            return size * static_cast<double>(s[2]) * static_cast<double>(4 * s[3] + s[0] * s[1]);
          }};
  return {c};
}

}  // namespace farsight
