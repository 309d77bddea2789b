#include "ops/layer_norm.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> layer_norm_cases() {
  // residual, w and b, w and b of the second output, two addends; a mean that is not 0.
  const auto inputs = [](const Sizes& s, bool pair, int addends) {
    using enum OpInput::Kind;
    std::vector<OpInput> all = {
        {.name = "residual", .shape = {s[0], s[1]}, .kind = parameter, .mean = 0.7},
        {.name = "w", .shape = {s[1]}, .kind = parameter, .mean = 1, .spread = 0.3},
        {.name = "b", .shape = {s[1]}, .kind = parameter}};
    if (pair) {
      all.push_back({.name = "w2", .shape = {s[1]}, .kind = parameter, .mean = 1, .spread = 0.3});
      all.push_back({.name = "b2", .shape = {s[1]}, .kind = parameter});
    }
    for (const char* name : {"x", "x2"}) {
      if (addends-- > 0) all.push_back({.name = name, .shape = {s[0], s[1]}});
    }
    return all;
  };
  OpCase base{.name = "",
              .kernels = {"layer_norm_forward", "layer_norm_backward"},
              .size_names = {"rows", "D"},
              .sizes = {{1, 9}, {7, 5}, {65, 64}, {33, 131}},
              .inputs = {},
              .call = {}};
  OpCase parallel_block = base;
  parallel_block.name = "add_layer_norm_pair";
  parallel_block.inputs = [inputs](const Sizes& s) { return inputs(s, true, 2); };
  parallel_block.call = [](std::span<const Tensor> in) {
    Tensor sum;
    const auto y =
        add_layer_norm_pair(in[0], {in[5], &in[6]}, {in[1], in[2]}, {in[3], in[4]}, 1e-5, &sum);
    return std::vector{y[0], y[1], sum};
  };
  parallel_block.bench = {{4096, 64}, {8192, 256}, {4096, 768}};
  parallel_block.bytes = [](const Sizes& s, double size) {
    const double n = static_cast<double>(s[0] * s[1]);
    return n * (4 * size + 8) + n * (4 * size + 12);
  };
  OpCase fused = base;
  fused.name = "add_layer_norm";
  fused.inputs = [inputs](const Sizes& s) { return inputs(s, false, 1); };
  fused.call = [](std::span<const Tensor> in) {
    Tensor sum;
    Tensor y = add_layer_norm(in[0], {in[3]}, {in[1], in[2]}, 1e-5, &sum);
    return std::vector{y, sum};
  };
  OpCase pair = base;
  pair.name = "layer_norm_pair";
  pair.inputs = [inputs](const Sizes& s) { return inputs(s, true, 0); };
  pair.call = [](std::span<const Tensor> in) {
    const auto y = layer_norm_pair(in[0], {in[1], in[2]}, {in[3], in[4]}, 1e-5, in[0].dtype());
    return std::vector{y[0], y[1]};
  };
  OpCase alone = base;
  alone.name = "layer_norm";
  alone.inputs = [inputs](const Sizes& s) { return inputs(s, false, 0); };
  alone.call = [](std::span<const Tensor> in) {
    return std::vector{layer_norm(in[0], {in[1], in[2]}, 1e-5, in[0].dtype())};
  };
  return {parallel_block, fused, pair, alone};
}

}  // namespace farsight
