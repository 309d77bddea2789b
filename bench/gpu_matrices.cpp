#include "bench/gpu_matrices.h"

#include <memory>

#include "ops/attention_weights.h"
#include "ops/hidden_attention.h"
#include "ops/long_conv_weights.h"
#include "ops/wkv_weights.h"

namespace farsight::bench {
namespace {

constexpr std::int64_t kLengths[] = {512, 4096};
constexpr MatrixPart kPart{.absolute = true};

double entries(std::int64_t T) {
  return static_cast<double>(T) * static_cast<double>(T + 1) / 2;
}

/// One pass: `make` gives the work from random tensors of [1, T, columns] or any shape.
GpuLine line(const char* name, std::vector<std::pair<std::string, std::int64_t>> sizes,
             const Work& work, std::function<std::function<void()>(RandomTensors&)> make) {
  return {.name = name,
          .sizes = std::move(sizes),
          .work = {.forward = work, .backward = {}},
          .make = [make = std::move(make)](RandomTensors& random) {
            return GpuWork{.forward = make(random)};
          }};
}

GpuLine hidden_attention_line(std::int64_t T, std::int64_t N) {
  constexpr std::int64_t D = 1536;
  // A fused multiply-add for every entry, channel and state.
  const Work work{.instructions = entries(T) * static_cast<double>(D * N)};
  return line("hidden_attention", {{"T", T}, {"D", D}, {"N", N}}, work, [=](RandomTensors& random) {
    const auto of = [&](const Shape& shape, double mean = 0, double spread = 1) {
      return random.normal(shape, DType::f32, mean, spread);
    };
    return [T, u = of({1, T, D}), delta = of({1, T, D}, -3), A_log = of({D, N}, 2, 0.5),
            B = of({1, T, N}), C = of({1, T, N}), D_skip = of({D}), bias = of({D})] {
      hidden_attention(
          {.u = u, .delta = delta, .A_log = A_log, .B = B, .C = C, .D = D_skip, .bias = bias},
          kPart);
    };
  });
}

GpuLine wkv_line(std::int64_t T) {
  constexpr std::int64_t D = 1024;
  const Work work{.exps = entries(T) * static_cast<double>(D)};
  return line("wkv_weights", {{"T", T}, {"D", D}}, work, [=](RandomTensors& random) {
    const Tensor k = random.normal({1, T, D}, DType::f32);
    const Tensor decay = random.normal({D}, DType::f32, -2), first = random.normal({D}, DType::f32);
    return [=] { wkv_weights({.k = k, .v = k, .decay = decay, .first = first}, kPart); };
  });
}

GpuLine long_conv_line(std::int64_t T) {
  constexpr std::int64_t D = 864;
  // Two products and a sum.
  const Work work{.instructions = 3 * entries(T) * static_cast<double>(D)};
  return line("long_conv_weights", {{"T", T}, {"D", D}}, work, [=](RandomTensors& random) {
    const Tensor v = random.normal({1, T, D}, DType::f32),
                 pre = random.normal({1, T, D}, DType::f32);
    const Tensor post = random.normal({1, T, D}, DType::f32);
    const Tensor k = random.normal({T, D}, DType::f32), bias = random.normal({D}, DType::f32);
    return [=] { long_conv_weights(v, pre, post, k, bias, kPart); };
  });
}

GpuLine attention_line(std::int64_t T) {
  constexpr std::int64_t kHeads = 12, kHead = 64, kTurning = 16;
  // Scores once for the softmax's sums, with the values' sum, and once for its entries.
  const Work work{.instructions = 3 * entries(T) * static_cast<double>(kHeads * kHead)};
  return line("attention_weights", {{"T", T}, {"heads", kHeads}, {"hd", kHead}}, work,
              [=](RandomTensors& random) {
                const Tensor qkv = random.normal({1, T, kHeads * 3 * kHead}, DType::f32);
                return
                    [=] { attention_weights(qkv, {.heads = kHeads, .rotary = kTurning}, kPart); };
              });
}

}  // namespace

std::vector<GpuLine> gpu_matrix_lines() {
  std::vector<GpuLine> lines;
  for (const std::int64_t T : kLengths) {
    lines.push_back(hidden_attention_line(T, 16));
    lines.push_back(hidden_attention_line(T, 64));
    lines.push_back(wkv_line(T));
    lines.push_back(long_conv_line(T));
    lines.push_back(attention_line(T));
  }
  return lines;
}

}  // namespace farsight::bench
