#include "ops/dropout.h"

#include "core/philox.h"
#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> dropout_cases() {
  const auto one = [](const char* name, bool shares) {
    return OpCase{
        .name = name,
        .kernels = {"dropout_apply"},
        .size_names = {"B", "T", "D"},
        .sizes = {{1, 1, 2}, {2, 7, 5}, {3, 13, 17}, {2, 8, 32}},
        .inputs =
            [](const Sizes& s) {
              return std::vector<OpInput>{
                  {.name = "x", .shape = {s[0], s[1], s[2]}, .strided = true},
                  {.name = "pass",
                   .shape = {2},
                   .kind = OpInput::Kind::integer,
                   .fill = [](std::int64_t i) { return i == 0 ? 20241015 : -77; }}};
            },
        .call =
            [shares](std::span<const Tensor> in) {
              return std::vector{dropout(in[0], {.p = 0.3,
                                                 .pass = &in[1],
                                                 .stream = hash_name("dropout/embedding"),
                                                 .shared_rows = shares ? in[0].dim(1) : 1})};
            },
        .bench = {{16, 256, 864}},
        .bytes = [](const Sizes& s,
                    double size) { return 4 * size * static_cast<double>(s[0] * s[1] * s[2]); }};
  };
  OpCase shared = one("dropout, shared over time", true);
  shared.bench.clear();
  return {one("dropout", false), shared};
}

}  // namespace farsight
