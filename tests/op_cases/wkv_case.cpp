#include "ops/wkv.h"

#include "tests/op_cases/op_case.h"

namespace farsight {
namespace {

std::vector<OpInput> plain_inputs(const Sizes& s) {
  const Shape activation{s[0], s[1], s[2]};
  constexpr auto parameter = OpInput::Kind::parameter;
  return {{.name = "k", .shape = activation, .strided = true},
          {.name = "v", .shape = activation, .mean = 0.5, .strided = true},
          {.name = "decay", .shape = {s[2]}, .kind = parameter, .mean = -1.5, .spread = 1.5},
          {.name = "first", .shape = {s[2]}, .kind = parameter, .mean = -0.5}};
}

std::vector<OpInput> gated_inputs(const Sizes& s) {
  std::vector<OpInput> all = plain_inputs(s);
  all.push_back({.name = "r", .shape = {s[0], s[1], s[2]}, .strided = true});
  return all;
}

std::vector<OpInput> packed_inputs(const Sizes& s) {
  std::vector<OpInput> all = gated_inputs(s);
  const std::int64_t T = s[1];
  all.push_back({.name = "position",
                 .shape = {s[0], T},
                 .kind = OpInput::Kind::integer,
                 // Sequences of 13 tokens, the first one of every other row already under way.
                 .fill = [T](std::int64_t i) {
                   return static_cast<std::int32_t>((i % T + (i / T % 2 == 0 ? 2 : 0)) % 13);
                 }});
  return all;
}

double elements(const Sizes& s) {
  return static_cast<double>(s[0] * s[1] * s[2]);
}

}  // namespace

std::vector<OpCase> wkv_cases() {
  const std::vector<const char*> kernels = {"wkv_forward", "wkv_backward"};
  const std::vector<const char*> names = {"B", "T", "D"};
  OpCase bare{.name = "wkv",
              .kernels = kernels,
              .size_names = names,
              .sizes = {{2, 7, 5}, {2, 9, 72}, {1, 1, 3}, {3, 33, 2}, {1, 70, 64}, {2, 131, 17}},
              .inputs = plain_inputs,
              .call =
                  [](std::span<const Tensor> in) {
                    return std::vector{wkv({in[0], in[1], in[2], in[3]})};
                  },
              .bench = {{8, 64, 64}, {16, 512, 256}, {8, 512, 1024}},
              .bytes =  // k, v, y; k, v, dy, dk, dv
              [](const Sizes& s, double size) { return 8 * size * elements(s); },
              .flops = [](const Sizes& s) { return 50 * elements(s); }};
  OpCase gated{.name = "wkv, gate",
               .kernels = kernels,
               .size_names = names,
               .sizes = {{2, 35, 5}, {2, 18, 130}, {1, 64, 16}},
               .inputs = gated_inputs,
               .call =
                   [](std::span<const Tensor> in) {
                     return std::vector{wkv({in[0], in[1], in[2], in[3], &in[4]})};
                   },
               .bench = {{8, 512, 1024}},
               .bytes = [](const Sizes& s, double size) { return 11 * size * elements(s); },
               .flops = [](const Sizes& s) { return 60 * elements(s); }};
  OpCase packed{.name = "wkv, gate, packed rows",
                .kernels = kernels,
                .size_names = names,
                .sizes = {{2, 26, 5}, {3, 37, 18}, {1, 70, 64}},
                .inputs = packed_inputs,
                .call = [](std::span<const Tensor> in) {
                  return std::vector{wkv({.k = in[0],
                                          .v = in[1],
                                          .decay = in[2],
                                          .first = in[3],
                                          .r = &in[4],
                                          .position = &in[5]})};
                }};
  return {bare, gated, packed};
}

}  // namespace farsight
