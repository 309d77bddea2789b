#include "ops/embedding.h"

#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> embedding_cases() {
  OpCase c{.name = "embedding",
           .kernels = {"embedding_forward", "embedding_backward"},
           .size_names = {"B", "T", "V", "D"},
           .sizes = {{1, 1, 1, 1}, {2, 7, 5, 3}, {3, 131, 37, 17}},
           .inputs =
               [](const Sizes& s) {
                 const std::int64_t V = s[2];
                 return std::vector<OpInput>{
                     {.name = "ids",
                      .shape = {s[0], s[1]},
                      .kind = OpInput::Kind::integer,
                      // Repeats and leaves some ids out: both matter to the backward.
                      .fill = [V](std::int64_t i) { return static_cast<std::int32_t>(i * i % V); }},
                     {.name = "w", .shape = {V, s[3]}, .kind = OpInput::Kind::parameter}};
               },
           .call = [](std::span<const Tensor> in) { return std::vector{embedding(in[0], in[1])}; },
           .bench = {{64, 64, 512, 64}, {16, 512, 20480, 256}},
           .bytes =
               [](const Sizes& s, double) {
                 const double rows = static_cast<double>(s[0] * s[1]);
                 return 4.0 * static_cast<double>(s[3]) * (3 * rows + static_cast<double>(s[2]));
               }};
  return {c};
}

}  // namespace farsight
