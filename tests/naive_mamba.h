// Mamba from the formulas of its paper (Gu and Dao, 2023, algorithm 2 and section 3.4; its gate
// from equations 7 and 8 of "Revealing and Mitigating the Local Pattern Shortcuts of Mamba"), one
// number at a time: slow, and written without a look at models/ or ops/.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "models/mamba.h"
#include "tests/naive_layers.h"

namespace farsight {

class NaiveMamba : private NaiveLayers {
 public:
  explicit NaiveMamba(Mamba& mamba)
      : NaiveLayers(mamba.parameters(), mamba.config().norm_eps), config_(mamba.config()) {}

  /// Logits [T][V] of one sequence.
  Matrix logits(const std::vector<std::int32_t>& tokens) const {
    const std::string words = "backbone.embeddings.weight";
    Matrix x = rows_of(words, config_.d_model, tokens);
    for (std::int64_t i = 0; i < config_.n_layer; i++) {
      add(x, layer(fmt::format("backbone.layers.{}.", i), x));
    }
    return product(named(words), rms_normalised(x, named("backbone.norm_f.weight")));
  }

 private:
  static double sigmoid(double v) { return 1 / (1 + std::exp(-v)); }
  static double silu(double v) { return v * sigmoid(v); }
  static double softplus(double v) { return v > 20 ? v : std::log1p(std::exp(v)); }

  Matrix rms_normalised(const Matrix& x, const Vector& w) const {
    Matrix y = x;
    for (Vector& row : y) {
      double mean = 0;
      for (double v : row) {
        mean += v * v / static_cast<double>(row.size());
      }
      for (std::size_t c = 0; c < row.size(); c++) {
        row[c] *= w[c] / std::sqrt(mean + norm_eps_);
      }
    }
    return y;
  }

  /// silu of the depthwise causal convolution; K taps, the last one for the current token.
  static Matrix convolved(const Matrix& x, const Vector& w, const Vector& bias) {
    const std::size_t channels = bias.size(), K = w.size() / channels;
    Matrix y(x.size(), Vector(channels));
    for (std::size_t t = 0; t < x.size(); t++) {
      for (std::size_t c = 0; c < channels; c++) {
        double sum = bias[c];
        for (std::size_t j = 0; j < K; j++) {
          if (t + j + 1 >= K) sum += w[c * K + j] * x[t + j + 1 - K][c];
        }
        y[t][c] = silu(sum);
      }
    }
    return y;
  }

  static Matrix columns(const Matrix& x, std::size_t begin, std::size_t count) {
    Matrix y;
    for (const Vector& row : x) {
      const auto first = row.begin() + static_cast<std::ptrdiff_t>(begin);
      y.emplace_back(first, first + static_cast<std::ptrdiff_t>(count));
    }
    return y;
  }

  Matrix layer(const std::string& prefix, const Matrix& x) const {
    const std::string mixer = prefix + "mixer.";
    const std::size_t I = size(config_.d_inner()), N = size(config_.d_state),
                      R = size(config_.dt_rank), T = x.size();
    const Matrix xz =
        product(named(mixer + "in_proj.weight"), rms_normalised(x, named(prefix + "norm.weight")));
    const Matrix x_in = columns(xz, 0, I), z = columns(xz, I, I);
    const Matrix u = convolved(x_in, named(mixer + "conv1d.weight"), named(mixer + "conv1d.bias"));
    const Matrix selected = product(named(mixer + "x_proj.weight"), u);
    const Matrix B = columns(selected, R, N), C = columns(selected, R + N, N);
    Matrix q = product(named(mixer + "dt_proj.weight"), columns(selected, 0, R));
    if (has(mixer + "module.module.weight")) {
      const Matrix s = convolved(x_in, named(mixer + "module.module.weight"),
                                 named(mixer + "module.module.bias"));
      for (std::size_t t = 0; t < T; t++) {
        for (std::size_t c = 0; c < I; c++) {
          q[t][c] *= s[t][c];
        }
      }
    }
    const Vector &A_log = named(mixer + "A_log"), &D = named(mixer + "D"),
                 &bias = named(mixer + "dt_proj.bias");
    Matrix h(I, Vector(N)), gated(T, Vector(I));
    for (std::size_t t = 0; t < T; t++) {
      for (std::size_t c = 0; c < I; c++) {
        const double delta = softplus(q[t][c] + bias[c]);
        double y = D[c] * u[t][c];
        for (std::size_t n = 0; n < N; n++) {
          const double a = std::exp(delta * -std::exp(A_log[c * N + n]));
          h[c][n] = a * h[c][n] + delta * B[t][n] * u[t][c];
          y += C[t][n] * h[c][n];
        }
        gated[t][c] = y * silu(z[t][c]);
      }
    }
    return product(named(mixer + "out_proj.weight"), gated);
  }

  MambaConfig config_;
};

}  // namespace farsight
