#include "ops/elementwise.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> elementwise_cases() {
  const std::vector<const char*> kernels = {"elementwise_forward", "elementwise_backward"};
  const std::vector<const char*> names = {"B", "T", "D"};
  const std::vector<Sizes> sizes = {{1, 1, 1}, {2, 7, 5}, {3, 65, 17}};
  const auto two = [](const Sizes& s) {
    return std::vector<OpInput>{{.name = "a", .shape = {s[0], s[1], s[2]}, .strided = true},
                                {.name = "b", .shape = {s[0], s[1], s[2]}}};
  };
  const auto one = [](const Sizes& s) {
    return std::vector<OpInput>{{.name = "a", .shape = {s[0], s[1], s[2]}, .strided = true}};
  };
  OpCase sum{
      .name = "add",
      .kernels = kernels,
      .size_names = names,
      .sizes = sizes,
      .inputs = two,
      .call = [](std::span<const Tensor> in) { return std::vector{add(in[0], in[1])}; },
      .bench = {{16, 512, 256}},
      .bytes = [](const Sizes& s,
                  double size) { return 6 * size * static_cast<double>(s[0] * s[1] * s[2]); }};
  OpCase product{
      .name = "multiply",
      .kernels = kernels,
      .size_names = names,
      .sizes = sizes,
      .inputs = two,
      .call = [](std::span<const Tensor> in) { return std::vector{multiply(in[0], in[1])}; }};
  OpCase square{
      .name = "multiply by itself",
      .kernels = kernels,
      .size_names = names,
      .sizes = sizes,
      .inputs = one,
      .call = [](std::span<const Tensor> in) { return std::vector{multiply(in[0], in[0])}; }};
  OpCase activation{
      .name = "silu",
      .kernels = kernels,
      .size_names = names,
      .sizes = sizes,
      .inputs = one,
      .call = [](std::span<const Tensor> in) { return std::vector{silu(in[0])}; },
      .bench = {{16, 512, 512}},
      .bytes = [](const Sizes& s,
                  double size) { return 5 * size * static_cast<double>(s[0] * s[1] * s[2]); }};
  OpCase gated{.name = "gate",
               .kernels = kernels,
               .size_names = names,
               .sizes = sizes,
               .inputs = two,
               .call = [](std::span<const Tensor> in) { return std::vector{gate(in[0], in[1])}; }};
  OpCase squared{
      .name = "squared_relu",
      .kernels = kernels,
      .size_names = names,
      .sizes = sizes,
      .inputs = one,
      .call = [](std::span<const Tensor> in) { return std::vector{squared_relu(in[0])}; }};
  OpCase clipped{.name = "relu",
                 .kernels = kernels,
                 .size_names = names,
                 .sizes = sizes,
                 .inputs =
                     [one](const Sizes& s) {
                       std::vector<OpInput> inputs = one(s);
                       inputs[0].spread = 100;  // differences must not reach over the kink
                       return inputs;
                     },
                 .call = [](std::span<const Tensor> in) { return std::vector{relu(in[0])}; }};
  return {sum, product, square, activation, gated, clipped, squared};
}

}  // namespace farsight
