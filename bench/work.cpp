#include "bench/work.h"

#include <algorithm>
#include <cmath>

namespace farsight::bench {
namespace {

double of(std::int64_t count) {
  return static_cast<double>(count);
}

}  // namespace

Floor floor_of(const Work& work, const GpuCeilings& ceilings) {
  const Floor candidates[] = {
      {work.bytes / (ceilings.copy_gb_per_s * 1e6), "bytes"},
      {work.flops / (ceilings.gemm_tflop_per_s * 1e9), "products"},
      {work.exps / (ceilings.exps_per_s / 1e3), "exps"},
      {work.instructions / (ceilings.instructions_per_s / 1e3), "issue"},
  };
  return *std::ranges::max_element(candidates, {}, &Floor::ms);
}

Works scan_work(std::int64_t rows, std::int64_t D, std::int64_t N, bool gate) {
  const double activation = 2 * of(rows) * of(D), selection = 2 * of(rows) * of(N);
  const double states = of(rows) * of(D) * of(N);
  constexpr double kBackwardInstructions = 20;  // a state, counted in a straight-line prototype
  Works w;
  // u, delta, z, y; B, C
  w.forward = {.bytes = 4 * activation + 2 * selection, .exps = states};
  // u, delta, z, dy, du, ddelta, dz; B, C, dB and dC, summed in f32
  w.backward = {.bytes = 7 * activation + 6 * selection,
                .exps = states,
                .instructions = kBackwardInstructions * states};
  if (gate) {
    w.forward.bytes += activation;
    w.backward.bytes += 2 * activation;
  }
  return w;
}

Works conv_work(std::int64_t rows, std::int64_t T, std::int64_t D, std::int64_t K) {
  const double activation = 2 * of(rows) * of(D);
  // Of K taps, tap j reads before the beginning at the first j of T positions.
  const double taps = of(K) - of(K) * (of(K) - 1) / (2 * of(T));
  const double products = 2 * taps * of(rows) * of(D);
  return {.forward = {.bytes = 2 * activation, .flops = products},        // x, y
          .backward = {.bytes = 3 * activation, .flops = 2 * products}};  // x, dy, dx
}

Works long_conv_work(std::int64_t rows, std::int64_t T, std::int64_t D) {
  const double activation = 2 * of(rows) * of(D), kernel = 4 * of(T) * of(D);
  const double products = of(rows) * of(D) * (of(T) + 1);
  // v, pre, post, y, m; then these without y, dy and three gradients
  return {.forward = {.bytes = 5 * activation + kernel, .flops = products},
          .backward = {.bytes = 8 * activation + 2 * kernel, .flops = 2 * products}};
}

Works wkv_work(std::int64_t rows, std::int64_t D, bool gate) {
  const double activation = 2 * of(rows) * of(D), elements = of(rows) * of(D);
  // k, v, y; k, v, dy, dk, dv. Forward: of each of two pairs of exponents one power, and a quotient;
  // backward: the same, again with the adjoints, and what they are weighed with.
  Works w{.forward = {.bytes = 3 * activation, .exps = 3 * elements},
          .backward = {.bytes = 5 * activation, .exps = 6 * elements}};
  if (gate) {
    w.forward.bytes += activation;
    w.backward.bytes += 2 * activation;
  }
  return w;
}

Works token_shift_work(std::int64_t rows, std::int64_t D, std::int64_t mixes) {
  const double activation = 2 * of(rows) * of(D);
  // x, y_i; x, dy_i, dx
  return {.forward = {.bytes = (1 + of(mixes)) * activation},
          .backward = {.bytes = (2 + of(mixes)) * activation}};
}

Works attention_work(std::int64_t rows, std::int64_t T, std::int64_t heads) {
  constexpr double kHead = 64;
  const double activation = 2 * of(rows) * of(heads) * kHead;
  const double pairs = of(rows) * (of(T) + 1) / 2 * of(heads);  // of a query and a key it sees
  // q, k, v, y; then these and dy, dq, dk, dv. Two products forward, five backward.
  return {.forward = {.bytes = 4 * activation, .flops = 2 * 2 * pairs * kHead, .exps = pairs},
          .backward = {.bytes = 8 * activation, .flops = 5 * 2 * pairs * kHead, .exps = pairs}};
}

Works add_layer_norm_pair_work(std::int64_t rows, std::int64_t D) {
  const double elements = of(rows) * of(D);
  // residual, two addends, the sum, two outputs; the sum, two dy, dsum, dresidual, two dx
  return {.forward = {.bytes = (4 + 2 * 2 + 4 + 2 * 2) * elements},
          .backward = {.bytes = (4 + 2 * 2 + 4 + 4 + 2 * 2) * elements}};
}

Works wide_attention_work(std::int64_t rows, std::int64_t T, std::int64_t D) {
  const double activation = 2 * of(rows) * of(D);
  const double pairs = of(rows) * (of(T) + 1) / 2;
  // q, k, v, y; then q, k, v, dy and three gradients. Two products forward, four backward: P is kept.
  return {.forward = {.bytes = 4 * activation, .flops = 2 * 2 * pairs * of(D), .exps = pairs},
          .backward = {.bytes = 7 * activation, .flops = 4 * 2 * pairs * of(D)}};
}

Works dropout_work(std::int64_t rows, std::int64_t D) {
  const double activation = 2 * of(rows) * of(D);
  return {.forward = {.bytes = 2 * activation}, .backward = {.bytes = 2 * activation}};
}

Works gelu_work(std::int64_t rows, std::int64_t D) {
  const double activation = 2 * of(rows) * of(D);
  return {.forward = {.bytes = 2 * activation}, .backward = {.bytes = 3 * activation}};
}

Works add_rms_norm_work(std::int64_t rows, std::int64_t D) {
  const double elements = of(rows) * of(D);
  return {.forward = {.bytes = (2 + 4 + 4 + 2) * elements},        // x, residual, sum, y
          .backward = {.bytes = (2 + 4 + 4 + 4 + 2) * elements}};  // dy, sum, dsum, dresidual, dx
}

Works embedding_work(std::int64_t rows, std::int64_t V, std::int64_t D) {
  const double seen = of(V) * -std::expm1(of(rows) * std::log1p(-1 / of(V)));
  return {.forward = {.bytes = 4 * of(D) * (of(rows) + seen) + 4 * of(rows)},
          .backward = {.bytes = 4 * of(D) * (of(rows) + of(V)) + 4 * of(rows)}};
}

Works gather_rows_work(std::int64_t rows, std::int64_t D, std::int64_t R) {
  return {.forward = {.bytes = 2 * of(D) * 2 * of(R)},
          .backward = {.bytes = 2 * of(D) * (of(R) + of(rows))}};  // dx is zero elsewhere
}

Works linear_work(std::int64_t rows, std::int64_t K, std::int64_t N, bool dx, bool dw) {
  const double x = 2 * of(rows) * of(K), y = 2 * of(rows) * of(N), w = 2 * of(K) * of(N);
  const double products = 2 * of(rows) * of(K) * of(N);
  Works work;
  work.forward = {.bytes = x + w + y, .flops = products};
  work.backward.bytes = y;
  if (dx) work.backward.bytes += w + x;
  if (dw) work.backward.bytes += x + 2 * w;  // dw in f32
  work.backward.flops = products * ((dx ? 1 : 0) + (dw ? 1 : 0));
  return work;
}

Works linear_cross_entropy_work(std::int64_t R, std::int64_t D, std::int64_t V) {
  const double x = 2 * of(R) * of(D), w = 2 * of(V) * of(D);
  const double products = 2 * of(R) * of(D) * of(V), logits = of(R) * of(V);
  // The logits need no memory: a kernel could make them, and their gradient, tile by tile.
  return {.forward = {.bytes = x + w, .flops = products, .exps = logits},
          .backward = {.bytes = 2 * x + 3 * w, .flops = 2 * products}};
}

Work gradient_norm_work(std::int64_t parameters) {
  return {.bytes = 4 * of(parameters)};
}

Work adamw_work(std::int64_t parameters) {
  // g; p, m and v read and written; the bf16 copy
  return {.bytes = (4 + 3 * 8 + 2) * of(parameters)};
}

}  // namespace farsight::bench
