// Pythia from the formulas (spec: models.md 3), one number at a time: slow, and written without a
// look at models/ or ops/.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "models/pythia.h"

namespace farsight {

class NaivePythia {
 public:
  using Vector = std::vector<double>;
  using Matrix = std::vector<Vector>;  // [T][channels]

  /// Reads the parameters of `pythia` by their names.
  explicit NaivePythia(Pythia& pythia) : config_(pythia.config()) {
    for (const ParameterStore::Entry& entry : pythia.parameters().entries()) {
      const Tensor wide = entry.parameter->master.to(DType::f64);
      parameters_[entry.name] = {wide.data<double>(), wide.data<double>() + wide.elements()};
    }
  }

  /// Logits [T][V] of one sequence.
  Matrix logits(const std::vector<std::int32_t>& tokens) const {
    const std::size_t d = size(config_.d_model);
    const Vector& E = named("gpt_neox.embed_in.weight");
    Matrix x;
    for (const std::int32_t token : tokens) {
      const auto from =
          E.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(token) * d);
      x.emplace_back(from, from + static_cast<std::ptrdiff_t>(d));
    }
    for (std::int64_t i = 0; i < config_.n_layer; i++) {
      const std::string prefix = fmt::format("gpt_neox.layers.{}.", i);
      const Matrix a = attention(prefix, normalised(x, prefix + "input_layernorm"));
      const Matrix m = mlp(prefix, normalised(x, prefix + "post_attention_layernorm"));
      for (std::size_t t = 0; t < x.size(); t++) {
        for (std::size_t c = 0; c < d; c++) {
          x[t][c] += a[t][c] + m[t][c];
        }
      }
    }
    return product(named("embed_out.weight"), Vector(), normalised(x, "gpt_neox.final_layer_norm"));
  }

 private:
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
  const Vector& named(const std::string& name) const { return parameters_.at(name); }

  /// W (out, in) times every row of x, plus b where there is one.
  static Matrix product(const Vector& W, const Vector& b, const Matrix& x) {
    const std::size_t in = x[0].size(), out = W.size() / in;
    Matrix y(x.size(), Vector(out));
    for (std::size_t t = 0; t < x.size(); t++) {
      for (std::size_t o = 0; o < out; o++) {
        y[t][o] = b.empty() ? 0 : b[o];
        for (std::size_t i = 0; i < in; i++) {
          y[t][o] += W[o * in + i] * x[t][i];
        }
      }
    }
    return y;
  }
  Matrix projected(const std::string& name, const Matrix& x) const {
    return product(named(name + ".weight"), named(name + ".bias"), x);
  }

  Matrix normalised(const Matrix& x, const std::string& name) const {
    const Vector &w = named(name + ".weight"), &b = named(name + ".bias");
    Matrix y = x;
    for (Vector& row : y) {
      double mean = 0, variance = 0;
      for (double v : row) {
        mean += v / static_cast<double>(row.size());
      }
      for (double v : row) {
        variance += (v - mean) * (v - mean) / static_cast<double>(row.size());
      }
      for (std::size_t c = 0; c < row.size(); c++) {
        row[c] = w[c] * (row[c] - mean) / std::sqrt(variance + config_.norm_eps) + b[c];
      }
    }
    return y;
  }

  Matrix mlp(const std::string& prefix, const Matrix& h) const {
    Matrix up = projected(prefix + "mlp.dense_h_to_4h", h);
    for (Vector& row : up) {
      for (double& v : row) {
        v = 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
      }
    }
    return projected(prefix + "mlp.dense_4h_to_h", up);
  }

  /// The first dims of x by pairs (i, i + n/2), turned by t 10000^(-i / (n/2)).
  void turn(Vector& x, std::size_t t) const {
    const std::size_t half = size(config_.rotary()) / 2;
    for (std::size_t i = 0; i < half; i++) {
      const double angle = static_cast<double>(t) *
                           std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half));
      const double low = x[i], high = x[i + half];
      x[i] = low * std::cos(angle) - high * std::sin(angle);
      x[i + half] = high * std::cos(angle) + low * std::sin(angle);
    }
  }

  Matrix attention(const std::string& prefix, const Matrix& h) const {
    const std::size_t T = h.size(), H = size(config_.n_head), hd = size(config_.head_dim());
    const Matrix qkv = projected(prefix + "attention.query_key_value", h);
    Matrix o(T, Vector(H * hd));
    for (std::size_t head = 0; head < H; head++) {
      const auto part = [&](std::size_t t, std::size_t which) {
        const auto from = qkv[t].begin() + static_cast<std::ptrdiff_t>((3 * head + which) * hd);
        return Vector(from, from + static_cast<std::ptrdiff_t>(hd));
      };
      for (std::size_t t = 0; t < T; t++) {
        Vector q = part(t, 0), weights;
        turn(q, t);
        double total = 0;
        for (std::size_t j = 0; j <= t; j++) {
          Vector k = part(j, 1);
          turn(k, j);
          double score = 0;
          for (std::size_t i = 0; i < hd; i++) {
            score += q[i] * k[i];
          }
          weights.push_back(std::exp(score / std::sqrt(static_cast<double>(hd))));
          total += weights.back();
        }
        for (std::size_t j = 0; j <= t; j++) {
          const Vector v = part(j, 2);
          for (std::size_t i = 0; i < hd; i++) {
            o[t][head * hd + i] += weights[j] / total * v[i];
          }
        }
      }
    }
    return projected(prefix + "attention.dense", o);
  }

  PythiaConfig config_;
  std::map<std::string, Vector> parameters_;
};

}  // namespace farsight
