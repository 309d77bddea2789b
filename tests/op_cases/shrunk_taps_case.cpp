#include "ops/shrunk_taps.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> shrunk_taps_cases() {
  return {OpCase{
      .name = "shrunk_taps",
      .kernels = {"shrunk_taps_forward", "shrunk_taps_backward"},
      .size_names = {"D", "K"},
      .sizes = {{1, 1}, {5, 7}, {17, 128}, {64, 16}},
      .inputs =
          [](const Sizes& s) {
            return std::vector<OpInput>{
                {.name = "k", .shape = {s[0], s[1]}, .kind = OpInput::Kind::parameter},
                {.name = "skip", .shape = {s[0]}, .kind = OpInput::Kind::parameter}};
          },
      .call =
          [](std::span<const Tensor> in) { return std::vector{shrunk_taps(in[0], in[1], 0.7)}; },
      .bench = {},
      .bytes = [](const Sizes& s, double) { return 20 * static_cast<double>(s[0] * s[1]); }}};
}

}  // namespace farsight
