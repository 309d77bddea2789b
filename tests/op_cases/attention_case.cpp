#include "ops/attention.h"

#include "tests/op_cases/op_case.h"

namespace farsight {
namespace {

/// One count of heads and of turning dims: shapes do not say them. packed: rows hold sequences of so
/// many tokens and of what is left; 0: a row is one sequence.
OpCase attention_case(const char* name, std::int64_t heads, std::int64_t rotary,
                      std::int64_t packed, std::vector<Sizes> sizes) {
  OpCase c{.name = name,
           .kernels = {"attention_forward", "attention_backward"},
           .size_names = {"B", "T", "hd"},
           .sizes = std::move(sizes),
           .inputs = {},
           .call = {}};
  c.inputs = [heads, packed](const Sizes& s) {
    std::vector<OpInput> all = {
        {.name = "qkv", .shape = {s[0], s[1], heads * 3 * s[2]}, .strided = true}};
    const auto position = [T = s[1], packed](std::int64_t i) {
      return static_cast<std::int32_t>(i % T % packed);
    };
    if (packed > 0) {
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
  OpCase pocket = attention_case("attention, 4 heads", 4, 4, 0, {{1, 5, 16}});
  pocket.bench = {{32, 64, 16}};
  OpCase tiny = attention_case("attention, 4 heads, 16 of 64 dims turn", 4, 16, 0, {{1, 3, 64}});
  tiny.bench = {{4, 512, 64}};
  OpCase full = attention_case("attention, 12 heads, 16 of 64 dims turn", 12, 16, 0, {{1, 3, 64}});
  return {pocket, tiny, full,
          attention_case("attention, 1 head", 1, 2, 0, {{1, 1, 2}, {2, 64, 4}, {1, 130, 5}}),
          attention_case("attention, 3 heads", 3, 4, 0, {{2, 7, 6}, {1, 67, 24}}),
          attention_case("attention, heads of 40", 3, 10, 0, {{1, 3, 40}, {2, 129, 40}}),
          attention_case("attention, wide heads", 1, 16, 0, {{1, 33, 64}, {1, 18, 128}}),
          attention_case("attention, nothing turns", 2, 0, 0, {{1, 9, 7}}),
          attention_case("attention, packed", 2, 4, 5, {{2, 7, 8}, {1, 69, 64}}),
          attention_case("attention, packed, 16 of 64 turn", 2, 16, 5, {{2, 7, 64}, {1, 69, 64}}),
          // Sequences that begin and end within tiles of 64 and of 128.
          attention_case("attention, packed by 150", 1, 16, 150, {{2, 7, 64}, {1, 160, 64}}),
          attention_case("attention, packed by 90", 2, 8, 90, {{1, 7, 40}, {2, 193, 40}})};
}

}  // namespace farsight
