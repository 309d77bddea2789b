#include "ops/linear_cross_entropy.h"

#include <cmath>

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> linear_cross_entropy_cases() {
  OpCase c{.name = "linear_cross_entropy",
           .kernels = {"cross_entropy_forward", "cross_entropy_backward", "sum_forward"},
           .size_names = {"R", "D", "V"},
           .sizes = {{1, 1, 1}, {7, 5, 3}, {19, 16, 33}, {65, 9, 64}},
           .inputs =
               [](const Sizes& s) {
                 const std::int64_t V = s[2];
                 // Logits of spread 1, as at the start of training: with far larger ones nearly all
                 // of the gradient is too small for a normal number, and slow to compute with.
                 const double spread = 1 / std::sqrt(static_cast<double>(s[1]));
                 return std::vector<OpInput>{{.name = "x", .shape = {s[0], s[1]}},
                                             {.name = "w", .shape = {V, s[1]}, .spread = spread},
                                             {.name = "targets",
                                              .shape = {s[0]},
                                              .kind = OpInput::Kind::integer,
                                              .fill = [V](std::int64_t i) {
                                                return static_cast<std::int32_t>((i * 7 + 1) % V);
                                              }}};
               },
           .call =
               [](std::span<const Tensor> in) {
                 const double scale = 1.0 / static_cast<double>(in[0].dim(0));
                 return std::vector{linear_cross_entropy(in[0], in[1], in[2], scale)};
               },
           // The gradient passes through logits of the activation type.
           .bf16_tolerance = 2e-2,
           .bench = {{240, 64, 512}, {560, 256, 20480}, {1100, 768, 50280}},
           .bytes =
               [](const Sizes& s, double size) {
                 const double R = static_cast<double>(s[0]), D = static_cast<double>(s[1]);
                 const double V = static_cast<double>(s[2]);
                 return size * (4 * R * V + 4 * R * D) + 4 * 3 * V * D;
               },
           .flops =
               [](const Sizes& s) {
                 return 6.0 * static_cast<double>(s[0]) * static_cast<double>(s[1] * s[2]);
               }};
  return {c};
}

}  // namespace farsight
