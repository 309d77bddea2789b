#include "ops/wide_attention.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> wide_attention_cases() {
  OpCase whole{
      .name = "wide_attention",
      .kernels = {"wide_attention_forward", "wide_attention_backward"},
      .size_names = {"B", "T", "S", "D"},
      .sizes = {{1, 1, 1, 1}, {2, 7, 7, 5}, {1, 3, 19, 8}, {3, 33, 33, 24}},
      .inputs =
          [](const Sizes& s) {
            return std::vector<OpInput>{
                {.name = "q", .shape = {s[0], s[1], s[3]}, .strided = true},
                {.name = "k", .shape = {s[0], s[2], s[3]}, .strided = true},
                {.name = "v", .shape = {s[0], s[2], s[3]}, .strided = true}};
          },
      .call =
          [](std::span<const Tensor> in) {
            return std::vector{wide_attention(in[0], in[1], in[2])};
          },
      // P is kept in bf16, and so is dS.
      .bf16_tolerance = 1.2e-2,
      .bench = {{2, 256, 256, 768}},
      .bytes =
          [](const Sizes& s, double size) {
            return size * static_cast<double>(s[0] * (6 * s[1] + 5 * s[2]) * s[3]);
          },
      .flops = [](const Sizes& s) { return 12 * static_cast<double>(s[0] * s[1] * s[2] * s[3]); }};
  OpCase packed = whole;
  packed.name = "wide_attention, packed";
  packed.sizes = {{2, 7, 7, 5}, {1, 40, 40, 8}};
  packed.bench.clear();
  packed.inputs = [inputs = whole.inputs](const Sizes& s) {
    std::vector<OpInput> all = inputs(s);
    all.push_back({.name = "position",
                   .shape = {s[0], s[1]},
                   .kind = OpInput::Kind::integer,
                   .fill = [T = s[1]](std::int64_t i) {
                     const std::int64_t t = i % T, second = T / 3;  // two sequences a row
                     return static_cast<std::int32_t>(t < second ? t : t - second);
                   }});
    return all;
  };
  packed.call = [](std::span<const Tensor> in) {
    return std::vector{wide_attention(in[0], in[1], in[2], &in[3])};
  };
  return {whole, packed};
}

}  // namespace farsight
