#include "eval/probes/attention_matrix.h"

#include <algorithm>
#include <cmath>

#include "autograd/tape.h"
#include "ops/attention_weights.h"
#include "ops/hidden_attention.h"
#include "ops/long_conv_weights.h"
#include "ops/wkv_weights.h"

namespace farsight {
namespace {

/// What an operation reads and what it makes of it, [T, channels x width] each: W_c works on the
/// columns [c width, (c + 1) width).
struct InAndOut {
  Tensor x, y;
  std::int64_t width = 1;
};

/// On the CPU, in f64.
Tensor exactly(const Tensor& t) {
  return t.contiguous().to(Device::cpu).to(DType::f64);
}

InAndOut through(const ScanInputs& in) {
  const Tensor no_skip = Tensor::zeros(in.D.shape(), in.D.dtype(), in.D.device(), "probe.no_skip");
  const Tensor y = selective_scan({.u = in.u,
                                   .delta = in.delta,
                                   .A_log = in.A_log,
                                   .B = in.B,
                                   .C = in.C,
                                   .D = no_skip,
                                   .bias = in.bias,
                                   .gate = in.gate});
  return {exactly(in.u), exactly(y)};
}

InAndOut through(const WkvInputs& in) {
  return {exactly(in.v),
          exactly(wkv({.k = in.k, .v = in.v, .decay = in.decay, .first = in.first}))};
}

InAndOut through(const LongConvInputs& in) {
  return {exactly(in.v), exactly(long_conv(in.v, in.pre, in.post, in.k, in.bias))};
}

InAndOut through(const AttentionInputs& in) {
  const Tensor y = exactly(attention(in.qkv, in.options));
  const std::int64_t H = in.options.heads, T = y.dim(1), head = y.dim(2) / H;
  const Tensor qkv = exactly(in.qkv), v = Tensor::empty(y.shape(), DType::f64);
  for (std::int64_t i = 0; i < T * H; i++) {
    const double* from = qkv.data<double>() + (i * 3 + 2) * head;
    std::copy(from, from + head, v.data<double>() + i * head);
  }
  return {v, y, head};
}

struct RowRange {
  std::int64_t row, rows;
};

/// The rows that reconstruction_error looks at.
std::vector<RowRange> checked_rows(std::int64_t T) {
  constexpr std::int64_t kAll = 4096, kStretches = 32, kStretch = 64;
  if (T <= kAll) return {{0, T}};
  std::vector<RowRange> ranges;
  for (std::int64_t i = 0; i < kStretches; i++) {
    ranges.push_back({i * (T - kStretch) / (kStretches - 1), kStretch});
  }
  return ranges;
}

}  // namespace

Tensor weight_matrix(const Mixing& mixing, const MatrixPart& part) {
  struct {
    const MatrixPart& part;
    Tensor operator()(const ScanInputs& in) const { return hidden_attention(in, part); }
    Tensor operator()(const WkvInputs& in) const { return wkv_weights(in, part); }
    Tensor operator()(const LongConvInputs& in) const {
      return long_conv_weights(in.v, in.pre, in.post, in.k, in.bias, part);
    }
    Tensor operator()(const AttentionInputs& in) const {
      return attention_weights(in.qkv, in.options, part);
    }
  } const matrix{part};
  const NoTape inference;
  return std::visit(matrix, mixing);
}

std::int64_t matrix_channels(const Mixing& mixing) {
  struct {
    std::int64_t operator()(const ScanInputs& in) const { return in.u.dim(2); }
    std::int64_t operator()(const WkvInputs& in) const { return in.v.dim(2); }
    std::int64_t operator()(const LongConvInputs& in) const { return in.v.dim(2); }
    std::int64_t operator()(const AttentionInputs& in) const { return in.options.heads; }
  } const channels{};
  return std::visit(channels, mixing);
}

double reconstruction_error(const Mixing& mixing, std::int64_t channels) {
  return reconstruction_error(mixing, channels,
                              [&](const MatrixPart& part) { return weight_matrix(mixing, part); });
}

double reconstruction_error(const Mixing& mixing, std::int64_t channels,
                            const MatrixSource& source) {
  const NoTape inference;
  const InAndOut of = std::visit([](const auto& in) { return through(in); }, mixing);
  const std::int64_t all = matrix_channels(mixing), T = of.x.dim(1), D = of.x.dim(2);
  const std::int64_t asked = std::min(channels, all);
  const std::vector<RowRange> ranges = checked_rows(T);
  double apart = 0, norm = 0;
  for (std::int64_t i = 0; i < asked; i++) {
    const std::int64_t c = i * all / asked;
    for (const auto& [row, rows] : ranges) {
      const Tensor W = exactly(source({.row = row, .rows = rows, .channel = c, .channels = 1}));
      for (std::int64_t r = 0; r < rows; r++) {
        for (std::int64_t j = c * of.width; j < (c + 1) * of.width; j++) {
          const double* x = of.x.data<double>() + j;
          double sum = 0;
          for (std::int64_t s = 0; s <= row + r; s++) {
            sum += W.data<double>()[r * T + s] * x[s * D];
          }
          const double y = of.y.data<double>()[(row + r) * D + j];
          apart += (sum - y) * (sum - y);
          norm += y * y;
        }
      }
    }
  }
  return apart == 0 ? 0 : std::sqrt(apart / norm);
}

void normalise_rows(const Tensor& matrix) {
  check(matrix.shape().n == 2 && matrix.device() == Device::cpu,
        "normalise_rows: expected [rows, T] on the CPU, got {}", matrix.shape());
  with_type(matrix.dtype(), [&]<class T>() {
    using A = accumulator_t<T>;
    for (std::int64_t r = 0; r < matrix.dim(0); r++) {
      T* row = matrix.data<T>() + r * matrix.dim(1);
      A sum = 0;
      for (std::int64_t s = 0; s < matrix.dim(1); s++) {
        sum += std::abs(static_cast<A>(row[s]));
      }
      for (std::int64_t s = 0; s < matrix.dim(1) && sum > 0; s++) {
        row[s] = T(static_cast<A>(row[s]) / sum);
      }
    }
  });
}

std::int64_t layer_count(const Model& model) {
  std::int64_t layers = 0;
  const Tensor token = Tensor::zeros({1, 1}, DType::i32, model.parameters->device(), "probe.token");
  model.probe(token, [&](std::int64_t, const Mixing&) { layers++; });
  return layers;
}

void attention_matrices(const Model& model, const Tensor& tokens,
                        const std::vector<std::int64_t>& layers, const MatrixOptions& options,
                        const std::function<void(std::int64_t layer, const Tensor& matrix)>& each) {
  check(tokens.shape().n == 2 && tokens.dim(0) == 1,
        "attention_matrices: tokens must be [1, T], got {}", tokens.shape());
  model.probe(tokens, [&](std::int64_t layer, const Mixing& mixing) {
    const bool wanted =
        layers.empty() || std::find(layers.begin(), layers.end(), layer) != layers.end();
    if (!wanted) return;
    const Tensor matrix = weight_matrix(mixing, {.absolute = options.absolute}).to(Device::cpu);
    if (options.row_normalised) normalise_rows(matrix);
    each(layer, matrix);
  });
}

Tensor attention_matrix(const Model& model, const Tensor& tokens, std::int64_t layer,
                        const MatrixOptions& options) {
  Tensor found;
  attention_matrices(model, tokens, {layer}, options,
                     [&](std::int64_t, const Tensor& matrix) { found = matrix; });
  require(static_cast<bool>(found), ExitCode::data,
          "there is no layer {}: this model has layers 0 to {}", layer, layer_count(model) - 1);
  return found;
}

}  // namespace farsight
