#include "ops/causal_conv1d.h"

#include "tests/op_cases/op_case.h"

namespace farsight {
namespace {

/// Positions of rows that pack sequences of 5, 9, 13, ... tokens, the first one already under way.
std::int32_t packed_position(std::int64_t t) {
  std::int64_t start = -2, length = 5;
  while (start + length <= t) {
    start += length;
    length += 4;
  }
  return static_cast<std::int32_t>(t - start);
}

std::vector<OpInput> plain_inputs(const Sizes& s) {
  return {{.name = "x", .shape = {s[0], s[1], s[2]}, .strided = true},
          {.name = "w", .shape = {s[2], 1, s[3]}, .kind = OpInput::Kind::parameter, .spread = 0.5},
          {.name = "bias", .shape = {s[2]}, .kind = OpInput::Kind::parameter}};
}

std::vector<OpInput> packed_inputs(const Sizes& s, bool history) {
  std::vector<OpInput> all = plain_inputs(s);
  if (history) all.push_back({.name = "history", .shape = {s[0], s[3] - 1, s[2]}});
  const std::int64_t T = s[1];
  all.push_back(
      {.name = "position",
       .shape = {s[0], T},
       .kind = OpInput::Kind::integer,
       // Every other row begins with a fresh sequence: its history must not be read.
       .fill = [T](std::int64_t i) { return packed_position(i % T + (i / T % 2 == 0 ? 0 : 3)); }});
  return all;
}

}  // namespace

std::vector<OpCase> causal_conv1d_cases() {
  const std::vector<const char*> kernels = {"causal_conv1d_forward", "causal_conv1d_backward"};
  const std::vector<const char*> names = {"B", "T", "D", "K"};
  const auto bytes = [](const Sizes& s, double size) {
    return 5 * size * static_cast<double>(s[0] * s[1] * s[2]);
  };
  const auto flops = [](const Sizes& s) {
    return 6.0 * static_cast<double>(s[0] * s[1] * s[2] * s[3]);
  };
  OpCase with_silu{.name = "causal_conv1d, silu",
                   .kernels = kernels,
                   .size_names = names,
                   .sizes = {{2, 7, 8, 4},
                             {1, 1, 3, 4},
                             {2, 37, 24, 4},
                             {1, 64, 16, 4},
                             {1, 3, 5, 9},
                             {2, 21, 17, 16},
                             {1, 5, 4, 1}},
                   .inputs = plain_inputs,
                   .call =
                       [](std::span<const Tensor> in) {
                         return std::vector{causal_conv1d(in[0], in[1], in[2], {.silu = true})};
                       },
                   .bench = {{64, 64, 128, 4},
                             {64, 64, 128, 16},
                             {16, 512, 512, 4},
                             {16, 512, 512, 128},
                             {8, 512, 1536, 4}},
                   .bytes = bytes,
                   .flops = flops};
  OpCase linear_only{.name = "causal_conv1d, no activation",
                     .kernels = kernels,
                     .size_names = names,
                     .sizes = {{2, 7, 8, 4}, {1, 33, 17, 12}},
                     .inputs = plain_inputs,
                     .call = [](std::span<const Tensor> in) {
                       return std::vector{causal_conv1d(in[0], in[1], in[2], {.silu = false})};
                     }};
  OpCase packed{.name = "causal_conv1d, packed rows",
                .kernels = kernels,
                .size_names = names,
                .sizes = {{3, 26, 8, 4}, {2, 37, 16, 20}, {1, 77, 9, 128}},
                .inputs = [](const Sizes& s) { return packed_inputs(s, false); },
                .call =
                    [](std::span<const Tensor> in) {
                      return std::vector{
                          causal_conv1d(in[0], in[1], in[2], {.silu = true, .position = &in[3]})};
                    },
                .bench = {{16, 512, 512, 4}, {16, 512, 512, 128}},
                .bytes = bytes,
                .flops = flops};
  OpCase resumed{
      .name = "causal_conv1d, packed rows with history",
      .kernels = kernels,
      .size_names = names,
      .sizes = {{2, 25, 5, 4}, {3, 19, 17, 9}, {1, 1, 3, 3}},
      .inputs = [](const Sizes& s) { return packed_inputs(s, true); },
      .call =
          [](std::span<const Tensor> in) {
            return std::vector{causal_conv1d(
                in[0], in[1], in[2], {.silu = true, .history = &in[3], .position = &in[4]})};
          }};
  return {with_silu, linear_only, packed, resumed};
}

}  // namespace farsight
