// The operations that the implicit filter of Hyena is made of, and learned positions.
#include "ops/decay.h"
#include "ops/positions.h"
#include "ops/sine.h"
#include "tests/op_cases/op_case.h"

namespace farsight {

std::vector<OpCase> implicit_filter_cases() {
  using enum OpInput::Kind;
  OpCase sines{.name = "sine",
               .kernels = {"sine_forward", "sine_backward"},
               .size_names = {"rows", "D"},
               .sizes = {{1, 9}, {7, 5}, {65, 64}, {33, 35}},
               .inputs =
                   [](const Sizes& s) {
                     return std::vector<OpInput>{
                         {.name = "x", .shape = {s[0], s[1]}, .strided = true},
                         {.name = "frequency", .shape = {s[1]}, .kind = parameter, .mean = 3}};
                   },
               .call = [](std::span<const Tensor> in) { return std::vector{sine(in[0], in[1])}; }};
  OpCase window{
      .name = "decay",
      .kernels = {"decay_apply"},
      .size_names = {"K", "D"},
      .sizes = {{1, 9}, {7, 5}, {65, 64}, {33, 35}},
      .inputs =
          [](const Sizes& s) {
            return std::vector<OpInput>{{.name = "x", .shape = {s[0], s[1]}, .strided = true}};
          },
      .call =
          [](std::span<const Tensor> in) {
            return std::vector{decay(in[0], {.first = 3, .last = 15, .span = 40})};
          }};
  OpCase places{.name = "add_positions",
                .kernels = {"add_positions_forward", "add_positions_backward"},
                .size_names = {"B", "steps", "D", "L"},
                .sizes = {{2, 7, 8, 12}, {3, 5, 7, 7}, {1, 1, 3, 9}},
                .inputs =
                    [](const Sizes& s) {
                      return std::vector<OpInput>{
                          {.name = "x", .shape = {s[0], s[1], s[2]}, .kind = parameter},
                          {.name = "table", .shape = {s[3], s[2]}, .kind = parameter}};
                    },
                .call =
                    [](std::span<const Tensor> in) {
                      const std::int64_t room = in[1].dim(0) - in[0].dim(1);
                      return std::vector{add_positions(in[0], in[1], room < 2 ? room : 2)};
                    }};
  return {sines, window, places};
}

}  // namespace farsight
