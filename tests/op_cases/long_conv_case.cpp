#include "ops/long_conv.h"

#include <algorithm>

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> long_conv_cases() {
  OpCase gated{
      .name = "long_conv",
      .kernels = {"long_conv_forward", "long_conv_backward"},
      .size_names = {"B", "T", "channels", "taps"},
      .sizes = {{2, 7, 8, 7},
                {3, 37, 5, 40},
                {1, 1, 3, 1},
                {2, 64, 16, 9},
                {2, 131, 8, 131},
                {2, 20, 24, 64}},
      .inputs =
          [](const Sizes& s) {
            using enum OpInput::Kind;
            const Shape sequence{s[0], s[1], s[2]};
            return std::vector<OpInput>{
                {.name = "v", .shape = sequence, .strided = true},
                {.name = "pre", .shape = sequence, .strided = true},
                {.name = "post", .shape = sequence, .strided = true},
                {.name = "k", .shape = {s[3], s[2]}, .kind = parameter, .spread = 0.5},
                {.name = "bias", .shape = {s[2]}, .kind = parameter}};
          },
      .call =
          [](std::span<const Tensor> in) {
            return std::vector{long_conv(in[0], in[1], in[2], in[3], in[4])};
          },
      .bench = {{64, 64, 64, 64}, {8, 512, 256, 512}, {2, 2048, 256, 2048}, {1, 8192, 256, 8192}},
      .bytes =
          [](const Sizes& s, double size) {
            // v, pre and post read and y written; the same and dy read, three gradients written
            return 11 * size * static_cast<double>(s[0] * s[1] * s[2]) +
                   8.0 * static_cast<double>(s[3] * s[2]);
          },
      .flops = [](const Sizes& s) {  // of the direct sums, the upper triangle left out
        return 3.0 * static_cast<double>(s[0] * s[2]) * static_cast<double>(s[1]) *
               static_cast<double>(std::min(s[1], s[3]));
      }};
  return {gated};
}

}  // namespace farsight
