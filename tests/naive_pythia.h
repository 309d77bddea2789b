// Pythia from the formulas of GPT-NeoX (Black et al., 2022, section 2.1), one number at a time:
// slow, and written without a look at models/ or ops/.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "models/pythia.h"
#include "tests/naive_layers.h"

namespace farsight {

class NaivePythia : private NaiveLayers {
 public:
  explicit NaivePythia(Pythia& pythia)
      : NaiveLayers(pythia.parameters(), pythia.config().norm_eps), config_(pythia.config()) {}

  /// Logits [T][V] of one sequence.
  Matrix logits(const std::vector<std::int32_t>& tokens) const {
    Matrix x = rows_of("gpt_neox.embed_in.weight", config_.d_model, tokens);
    for (std::int64_t i = 0; i < config_.n_layer; i++) {
      const std::string prefix = fmt::format("gpt_neox.layers.{}.", i);
      const Matrix a = attention(prefix, normalised(x, prefix + "input_layernorm"));
      const Matrix m = gelu_mlp(prefix + "mlp.dense_h_to_4h", prefix + "mlp.dense_4h_to_h",
                                normalised(x, prefix + "post_attention_layernorm"));
      add(x, a);
      add(x, m);
    }
    return product(named("embed_out.weight"), normalised(x, "gpt_neox.final_layer_norm"));
  }

 private:
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
    const Matrix qkv = biased(prefix + "attention.query_key_value", h);
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
    return biased(prefix + "attention.dense", o);
  }

  PythiaConfig config_;
};

}  // namespace farsight
