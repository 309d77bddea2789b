#include "ops/token_shift.h"

#include "tests/op_cases/op_case.h"

namespace farsight {
namespace {

std::vector<OpInput> inputs_of(const Sizes& s, int mixes, bool packed) {
  std::vector<OpInput> all = {{.name = "x", .shape = {s[0], s[1], s[2]}, .strided = true}};
  for (int i = 0; i < mixes; i++) {
    // As checkpoints have them, and flat.
    const Shape shape = i == 0 ? Shape{1, 1, s[2]} : Shape{s[2]};
    all.push_back({.name = "mix",
                   .shape = shape,
                   .kind = OpInput::Kind::parameter,
                   .mean = 0.3 + 0.2 * i,
                   .spread = 0.3});
  }
  const std::int64_t T = s[1];
  if (packed) {
    all.push_back({.name = "position",
                   .shape = {s[0], T},
                   .kind = OpInput::Kind::integer,
                   .fill = [T](std::int64_t i) {
                     return static_cast<std::int32_t>((i % T + (i / T % 2 == 0 ? 2 : 0)) % 5);
                   }});
  }
  return all;
}

OpCase token_shift_case(const char* name, int mixes, bool packed, std::vector<Sizes> sizes) {
  OpCase c{.name = name,
           .kernels = {"token_shift_forward", "token_shift_backward"},
           .size_names = {"B", "T", "D"},
           .sizes = std::move(sizes),
           .inputs = [=](const Sizes& s) { return inputs_of(s, mixes, packed); },
           .call =
               [=](std::span<const Tensor> in) {
                 const std::vector<Tensor> all(in.begin() + 1, in.begin() + 1 + mixes);
                 return token_shift(in[0], all, {.position = packed ? &in.back() : nullptr});
               }};
  c.bytes = [mixes](const Sizes& s, double size) {  // x, y_i; x, dy_i, dx
    return (2.0 * mixes + 3) * size * static_cast<double>(s[0] * s[1] * s[2]);
  };
  return c;
}

}  // namespace

std::vector<OpCase> token_shift_cases() {
  OpCase three =
      token_shift_case("token_shift, 3 mixes", 3, false, {{1, 1, 3}, {2, 7, 5}, {3, 37, 72}});
  three.bench = {{8, 64, 64}, {8, 512, 1024}};
  return {three, token_shift_case("token_shift, 2 mixes", 2, false, {{2, 9, 8}, {1, 33, 17}}),
          token_shift_case("token_shift, 1 mix", 1, false, {{3, 5, 4}}),
          token_shift_case("token_shift, packed rows", 3, true, {{2, 7, 5}, {3, 26, 16}})};
}

}  // namespace farsight
