#include "ops/attention.h"

#include "tests/op_cases/op_case.h"

namespace farsight {
namespace {

/// One count of heads and of turning dims: shapes do not say them.
OpCase attention_case(const char* name, std::int64_t heads, std::int64_t rotary, bool packed,
                      std::vector<Sizes> sizes) {
  OpCase c{.name = name,
           .kernels = {"attention_forward", "attention_backward"},
           .size_names = {"B", "T", "hd"},
           .sizes = std::move(sizes),
           .inputs = {},
           .call = {}};
  c.inputs = [heads, packed](const Sizes& s) {
    std::vector<OpInput> all = {
        {.name = "qkv", .shape = {s[0], s[1], heads * 3 * s[2]}, .strided = true}};
    // Sequences of 5 tokens and of what is left, starting anew in every row.
    const auto position = [T = s[1]](std::int64_t i) {
      return static_cast<std::int32_t>((i % T) % 5);
    };
    if (packed) {
      all.push_back({.name = "position",
                     .shape = {s[0], s[1]},
                     .kind = OpInput::Kind::integer,
                     .fill = position});
    }
    return all;
  };
  c.call = [heads, rotary](std::span<const Tensor> in) {
    const Tensor* position = in.size() > 1 ? &in[1] : nullptr;
    return std::vector{attention(in[0], {.heads = heads, .rotary = rotary, .position = position})};
  };
  c.bf16_tolerance = 1.2e-2;
  c.bytes = [heads](const Sizes& s, double size) {  // qkv, y; then qkv, y, dy, dqkv
    return 12 * size * static_cast<double>(s[0] * s[1] * heads * s[2]);
  };
  c.flops = [heads](const Sizes& s) {  // 2 products forward, 5 backward, of half a square
    return 7.0 * static_cast<double>(s[0] * s[1] * s[1] * heads * s[2]);
  };
  return c;
}

}  // namespace

std::vector<OpCase> attention_cases() {
  OpCase pocket = attention_case("attention, 4 heads", 4, 4, false, {{1, 5, 16}});
  pocket.bench = {{32, 64, 16}};
  OpCase tiny =
      attention_case("attention, 4 heads, 16 of 64 dims turn", 4, 16, false, {{1, 3, 64}});
  tiny.bench = {{4, 512, 64}};
  OpCase full =
      attention_case("attention, 12 heads, 16 of 64 dims turn", 12, 16, false, {{1, 3, 64}});
  return {attention_case("attention, 1 head", 1, 2, false, {{1, 1, 2}, {2, 64, 4}, {1, 130, 5}}),
          attention_case("attention, 3 heads", 3, 4, false, {{2, 7, 6}, {1, 67, 24}}),
          attention_case("attention, wide heads", 1, 16, false, {{1, 33, 64}, {1, 18, 128}}),
          attention_case("attention, nothing turns", 2, 0, false, {{1, 9, 7}}),
          attention_case("attention, packed", 2, 4, true, {{2, 7, 8}, {1, 69, 64}}),
          attention_case("attention, packed, 16 of 64 dims turn", 2, 16, true,
                         {{2, 7, 64}, {1, 69, 64}}),
          pocket,
          tiny,
          full};
}

}  // namespace farsight
