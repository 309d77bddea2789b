#include "ops/selective_scan.h"

#include "tests/op_cases/op_case.h"

namespace farsight {
namespace {

std::vector<OpInput> plain_inputs(const Sizes& s) {
  const Shape activation{s[0], s[1], s[2]}, selection{s[0], s[1], s[3]};
  constexpr auto parameter = OpInput::Kind::parameter;
  return {{.name = "u", .shape = activation},
          {.name = "delta", .shape = activation, .mean = -1},
          {.name = "A_log", .shape = {s[2], s[3]}, .kind = parameter, .mean = 0.3, .spread = 0.5},
          {.name = "B", .shape = selection, .strided = true},
          {.name = "C", .shape = selection, .strided = true},
          {.name = "D", .shape = {s[2]}, .kind = parameter},
          {.name = "bias", .shape = {s[2]}, .kind = parameter, .spread = 0.5},
          {.name = "z", .shape = activation, .strided = true}};
}

std::vector<OpInput> full_inputs(const Sizes& s) {
  std::vector<OpInput> all = plain_inputs(s);
  const std::int64_t T = s[1];
  all.push_back({.name = "gate", .shape = {s[0], s[1], s[2]}});
  all.push_back(
      {.name = "initial_state", .shape = {s[0], s[2], s[3]}, .kind = OpInput::Kind::parameter});
  all.push_back(
      {.name = "position",
       .shape = {s[0], T},
       .kind = OpInput::Kind::integer,
       // The first row goes on from its initial state and restarts twice; the next begins.
       .fill = [T](std::int64_t i) {
         return static_cast<std::int32_t>((i % T + (i / T % 2 == 0 ? 2 : 0)) % 13);
       }});
  return all;
}

double states(const Sizes& s) {
  return static_cast<double>(s[0] * s[1] * s[2] * s[3]);
}

}  // namespace

std::vector<OpCase> selective_scan_cases() {
  const std::vector<const char*> kernels = {"selective_scan_forward", "selective_scan_backward"};
  const std::vector<const char*> names = {"B", "T", "D", "N"};
  OpCase gated{
      .name = "selective_scan, z",
      .kernels = kernels,
      .size_names = names,
      .sizes = {{2, 7, 8, 4}, {2, 35, 5, 3}, {1, 1, 3, 1}, {1, 64, 16, 2}, {1, 33, 130, 1}},
      .inputs = plain_inputs,
      .call =
          [](std::span<const Tensor> in) {
            return std::vector{
                selective_scan({in[0], in[1], in[2], in[3], in[4], in[5], in[6], &in[7]})};
          },
      .bench = {{64, 64, 128, 16}, {16, 512, 512, 16}, {16, 512, 512, 64}, {8, 512, 1536, 16}},
      .bytes =
          [](const Sizes& s, double size) {  // u, delta, z, y; u, delta, z, dy, du, ddelta, dz
            return 11 * size * static_cast<double>(s[0] * s[1] * s[2]);
          },
      .flops = [](const Sizes& s) { return 21 * states(s); }};
  OpCase bare{
      .name = "selective_scan, no z",
      .kernels = kernels,
      .size_names = names,
      .sizes = {{2, 7, 8, 4}, {1, 40, 3, 2}},
      .inputs =
          [](const Sizes& s) {
            std::vector<OpInput> all = plain_inputs(s);
            all.pop_back();
            return all;
          },
      .call =
          [](std::span<const Tensor> in) {
            return std::vector{selective_scan({in[0], in[1], in[2], in[3], in[4], in[5], in[6]})};
          }};
  OpCase selected{.name = "selective_scan, z, gate",
                  .kernels = kernels,
                  .size_names = names,
                  .sizes = {{2, 35, 5, 3}, {1, 64, 16, 2}},
                  .inputs =
                      [](const Sizes& s) {
                        std::vector<OpInput> all = plain_inputs(s);
                        all.push_back({.name = "gate", .shape = {s[0], s[1], s[2]}});
                        return all;
                      },
                  .call =
                      [](std::span<const Tensor> in) {
                        return std::vector{selective_scan({.u = in[0],
                                                           .delta = in[1],
                                                           .A_log = in[2],
                                                           .B = in[3],
                                                           .C = in[4],
                                                           .D = in[5],
                                                           .bias = in[6],
                                                           .z = &in[7],
                                                           .gate = &in[8]})};
                      }};
  OpCase full{
      .name = "selective_scan, z, gate, states in and out, packed rows",
      .kernels = kernels,
      .size_names = names,
      .sizes = {{2, 7, 8, 4}, {3, 37, 5, 3}, {1, 1, 2, 2}, {2, 66, 17, 2}},
      .inputs = full_inputs,
      .call =
          [](std::span<const Tensor> in) {
            Tensor last;
            Tensor y = selective_scan({.u = in[0],
                                       .delta = in[1],
                                       .A_log = in[2],
                                       .B = in[3],
                                       .C = in[4],
                                       .D = in[5],
                                       .bias = in[6],
                                       .z = &in[7],
                                       .gate = &in[8],
                                       .initial_state = &in[9],
                                       .position = &in[10]},
                                      &last);
            return std::vector{y, last};
          },
      .bench = {{16, 512, 512, 16}},
      .bytes = [](const Sizes& s,
                  double size) { return 14 * size * static_cast<double>(s[0] * s[1] * s[2]); },
      .flops = [](const Sizes& s) { return 21 * states(s); }};
  return {gated, bare, selected, full};
}

}  // namespace farsight
