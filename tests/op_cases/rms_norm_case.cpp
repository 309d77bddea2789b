#include "ops/rms_norm.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> rms_norm_cases() {
  const auto inputs = [](const Sizes& s) {
    return std::vector<OpInput>{
        {.name = "residual", .shape = {s[0], s[1]}, .kind = OpInput::Kind::parameter},
        {.name = "w", .shape = {s[1]}, .kind = OpInput::Kind::parameter, .mean = 1, .spread = 0.3},
        {.name = "x", .shape = {s[0], s[1]}}};
  };
  OpCase fused{.name = "add_rms_norm",
               .kernels = {"rms_norm_forward", "rms_norm_backward"},
               .size_names = {"rows", "D"},
               .sizes = {{1, 2}, {7, 5}, {65, 64}, {33, 131}},
               .inputs = inputs,
               .call =
                   [](std::span<const Tensor> in) {
                     Tensor sum;
                     Tensor y = add_rms_norm(in[0], in[2], in[1], 1e-5, &sum);
                     return std::vector{y, sum};
                   },
               .bench = {{4096, 64}, {8192, 256}, {4096, 768}},
               .bytes = [](const Sizes& s,
                           double size) {  // x, residual, sum, y; then dy, sum, dsum, dresidual, dx
                 const double n = static_cast<double>(s[0] * s[1]);
                 return n * (2 * size + 8) + n * (2 * size + 12);
               }};
  OpCase alone{.name = "rms_norm",
               .kernels = {"rms_norm_forward", "rms_norm_backward"},
               .size_names = {"rows", "D"},
               .sizes = {{1, 2}, {7, 5}, {65, 64}},
               .inputs =
                   [inputs](const Sizes& s) {
                     auto all = inputs(s);
                     all.pop_back();
                     return all;
                   },
               .call =
                   [](std::span<const Tensor> in) {
                     return std::vector{rms_norm(in[0], in[1], 1e-5, in[0].dtype())};
                   }};
  return {fused, alone};
}

}  // namespace farsight
