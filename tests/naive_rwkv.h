// RWKV from the formulas of its paper (Peng et al., 2023, section 3.1), one number at a time: slow,
// its sums over the past taken as they are written, and made without a look at models/ or ops/.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "models/rwkv.h"
#include "tests/naive_layers.h"

namespace farsight {

class NaiveRwkv : private NaiveLayers {
 public:
  explicit NaiveRwkv(Rwkv& rwkv)
      : NaiveLayers(rwkv.parameters(), rwkv.config().norm_eps), config_(rwkv.config()) {}

  /// Logits [T][V] of one sequence.
  Matrix logits(const std::vector<std::int32_t>& tokens) const {
    return config_.published() ? published(tokens) : authors(tokens);
  }

 private:
  Matrix published(const std::vector<std::int32_t>& tokens) const {
    Matrix x = normalised(rows_of("rwkv.embeddings.weight", config_.d_model, tokens),
                          "rwkv.blocks.0.pre_ln");
    for (std::int64_t i = 0; i < config_.n_layer; i++) {
      const std::string prefix = fmt::format("rwkv.blocks.{}.", i);
      const std::string at = prefix + "attention.", in = prefix + "feed_forward.";
      add(x, time_mix(normalised(x, prefix + "ln1"), at,
                      {at + "time_mix_key", at + "time_mix_value", at + "time_mix_receptance"}));
      const Matrix h = normalised(x, prefix + "ln2");
      Matrix k = product(named(in + "key.weight"), mixed(h, in + "time_mix_key"));
      for (Vector& row : k) {
        for (double& v : row) {
          v = v > 0 ? v * v : 0;
        }
      }
      Matrix y = product(named(in + "value.weight"), k);
      gate(y, product(named(in + "receptance.weight"), mixed(h, in + "time_mix_receptance")));
      add(x, y);
    }
    return product(named("head.weight"), normalised(x, "rwkv.ln_out"));
  }

  Matrix authors(const std::vector<std::int32_t>& tokens) const {
    const std::string words = "backbone.embeddings.word_embeddings.weight";
    Matrix x = rows_of(words, config_.d_model, tokens);
    std::vector<std::int32_t> places;
    for (std::size_t t = 0; t < tokens.size(); t++) {
      places.push_back(static_cast<std::int32_t>(t));
    }
    add(x, rows_of("backbone.embeddings.position_embeddings.weight", config_.d_model, places));
    for (std::int64_t i = 0; i < config_.n_layer; i++) {
      const std::string prefix = fmt::format("backbone.layers.{}.", i);
      const std::string mixer = prefix + "sequence_mixer.", mlp = prefix + "state_mixer.";
      add(x, time_mix(normalised(x, prefix + "norm1"), mixer,
                      {mixer + "time_mix_k", mixer + "time_mix_v", mixer + "time_mix_r"}));
      add(x, gelu_mlp(mlp + "fc1", mlp + "fc2", normalised(x, prefix + "norm2")));
    }
    return product(named(words), normalised(x, "backbone.ln_f"));
  }

  /// `mixes`: names of those of key, value and receptance.
  Matrix time_mix(const Matrix& x, const std::string& prefix,
                  const std::vector<std::string>& mixes) const {
    const Matrix k = product(named(prefix + "key.weight"), mixed(x, mixes[0]));
    const Matrix v = product(named(prefix + "value.weight"), mixed(x, mixes[1]));
    const Matrix r = product(named(prefix + "receptance.weight"), mixed(x, mixes[2]));
    const Vector &decay = named(prefix + "time_decay"), &first = named(prefix + "time_first");
    Matrix y = x;
    for (std::size_t t = 0; t < x.size(); t++) {
      for (std::size_t c = 0; c < x[t].size(); c++) {
        double sum = 0, total = 0;
        for (std::size_t i = 0; i <= t; i++) {
          const double ago = static_cast<double>(t) - 1 - static_cast<double>(i);
          const double weight = std::exp(k[i][c] + (i == t ? first[c] : -std::exp(decay[c]) * ago));
          sum += weight * v[i][c];
          total += weight;
        }
        y[t][c] = sum / total;
      }
    }
    gate(y, r);
    return product(named(prefix + "output.weight"), y);
  }

  static void gate(Matrix& y, const Matrix& r) {
    for (std::size_t t = 0; t < y.size(); t++) {
      for (std::size_t c = 0; c < y[t].size(); c++) {
        y[t][c] /= 1 + std::exp(-r[t][c]);
      }
    }
  }

  /// Every token with the one before it, nothing before the first.
  Matrix mixed(const Matrix& x, const std::string& mix) const {
    const Vector& mu = named(mix);
    Matrix y = x;
    for (std::size_t t = 0; t < x.size(); t++) {
      for (std::size_t c = 0; c < x[t].size(); c++) {
        y[t][c] = mu[c] * x[t][c] + (t > 0 ? (1 - mu[c]) * x[t - 1][c] : 0);
      }
    }
    return y;
  }

  RwkvConfig config_;
};

}  // namespace farsight
