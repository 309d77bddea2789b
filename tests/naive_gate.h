// Mamba's gates by plain loops in double, and what their tests share.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>
#include <string>
#include <vector>

#include "models/mamba_gates.h"
#include "tests/small_mamba.h"

namespace farsight {

using enum GateKind;
inline constexpr std::array kKinds = {longconv, additive,      concat,       dtlinear,
                                      attn,     flashlongconv, shortlongconv};

inline std::string name(GateKind kind) {
  return std::string(name_of(kind));
}

inline MambaConfig small_gated(GateKind kind, bool some = false) {
  MambaConfig config = small_config(has_taps(kind) ? 5 : 0, some);
  config.gate = kind;
  return config;
}

/// One module in f64 beside loops over one sequence of I channels.
class NaiveGate {
 public:
  using Rows = std::vector<std::vector<double>>;  // [T][channels]

  NaiveGate(MambaGate& gate, GateKind kind, std::int64_t inner, std::int64_t taps)
      : kind_(kind), I_(static_cast<std::size_t>(inner)), K_(static_cast<std::size_t>(taps)) {
    gate.visit("", [&](const std::string& called, Parameter& p) {
      values_[called] = {p.master.data<double>(), p.master.data<double>() + p.shape.elements()};
    });
  }

  Rows input(const Rows& x_in, const Rows& u) const {
    Rows out = u;
    const Rows s = kind_ == additive || kind_ == concat ? convolved(x_in) : Rows();
    for (std::size_t t = 0; t < u.size(); t++) {
      if (kind_ == additive) {
        for (std::size_t c = 0; c < I_; c++) {
          out[t][c] += s[t][c];
        }
      }
      if (kind_ == concat) {
        std::vector<double> both = u[t];
        both.insert(both.end(), s[t].begin(), s[t].end());
        std::vector<double> hidden = linear_of("fc1", both);
        for (double& x : hidden) {
          x = std::max(x, 0.0);
        }
        out[t] = linear_of("fc2", hidden);
      }
    }
    return kind_ == shortlongconv ? flash(u) : out;
  }

  /// q with the gate multiplied in.
  Rows step(const Rows& x_in, const Rows& q) const {
    Rows out = q;
    Rows s;
    if (kind_ == longconv || kind_ == dtlinear) s = convolved(x_in);
    if (kind_ == flashlongconv) s = flash(x_in);
    if (kind_ == attn) s = attended(x_in);
    for (std::size_t t = 0; t < q.size() && !s.empty(); t++) {
      const std::vector<double> more =
          kind_ == dtlinear ? linear_of("fc2", linear_of("fc1", s[t])) : std::vector<double>();
      for (std::size_t c = 0; c < I_; c++) {
        if (kind_ == dtlinear) out[t][c] += more[c];
        if (kind_ == longconv) out[t][c] *= s[t][c];
        if (kind_ == flashlongconv || kind_ == attn) out[t][c] *= silu_of(s[t][c]);
      }
    }
    return out;
  }

 private:
  static double silu_of(double x) { return x / (1 + std::exp(-x)); }
  const std::vector<double>& at(const std::string& called) const { return values_.at(called); }

  std::vector<double> linear_of(const std::string& called, const std::vector<double>& x) const {
    const std::vector<double>&w = at(called + ".weight"), &b = at(called + ".bias");
    std::vector<double> y = b;
    for (std::size_t n = 0; n < y.size(); n++) {
      for (std::size_t k = 0; k < x.size(); k++) {
        y[n] += w[n * x.size() + k] * x[k];
      }
    }
    return y;
  }

  Rows convolved(const Rows& x) const {
    Rows y(x.size(), at("module.bias"));
    for (std::size_t t = 0; t < x.size(); t++) {
      for (std::size_t c = 0; c < I_; c++) {
        for (std::size_t lag = 0; lag < K_ && lag <= t; lag++) {
          y[t][c] += at("module.weight")[c * K_ + K_ - 1 - lag] * x[t - lag][c];
        }
        y[t][c] = silu_of(y[t][c]);
      }
    }
    return y;
  }

  Rows flash(const Rows& x) const {
    Rows y(x.size());
    for (std::size_t t = 0; t < x.size(); t++) {
      std::vector<double> mixed(I_);
      for (std::size_t c = 0; c < I_; c++) {
        mixed[c] = at("D")[c] * x[t][c];
        for (std::size_t lag = 0; lag < K_ && lag <= t; lag++) {
          const double k = at("kernel")[c * K_ + lag];
          const double squashed = std::max(std::abs(k) - 0.003, 0.0) * (k < 0 ? -1 : 1);
          mixed[c] += squashed * x[t - lag][c];
        }
        mixed[c] *= 0.5 * std::erfc(-mixed[c] / std::numbers::sqrt2);
      }
      const std::vector<double> both = linear_of("output", mixed);
      for (std::size_t c = 0; c < I_; c++) {
        y[t].push_back(both[c] / (1 + std::exp(-both[I_ + c])));
      }
    }
    return y;
  }

  std::vector<double> turned(std::vector<double> x, std::size_t t) const {
    for (std::size_t i = 0; i < I_; i += 2) {
      const double angle =
          static_cast<double>(t) * std::pow(1e4, -static_cast<double>(i) / static_cast<double>(I_));
      const double low = x[i], high = x[i + 1];
      x[i] = low * std::cos(angle) - high * std::sin(angle);
      x[i + 1] = high * std::cos(angle) + low * std::sin(angle);
    }
    return x;
  }

  Rows attended(const Rows& x) const {
    Rows y;
    for (std::size_t t = 0; t < x.size(); t++) {
      const std::vector<double> q = turned(linear_of("query", x[t]), t);
      std::vector<double> mean(I_);
      double total = 0;
      for (std::size_t j = 0; j <= t; j++) {
        const std::vector<double> k = turned(linear_of("key", x[j]), j);
        const std::vector<double> v = linear_of("value", x[j]);
        const double weight = std::exp(std::inner_product(q.begin(), q.end(), k.begin(), 0.0) /
                                       std::sqrt(static_cast<double>(I_)));
        total += weight;
        for (std::size_t c = 0; c < I_; c++) {
          mean[c] += weight * v[c];
        }
      }
      for (double& value : mean) {
        value /= total;
      }
      std::vector<double> sum = linear_of("dense", mean);
      double average = 0, variance = 0;
      for (std::size_t c = 0; c < I_; c++) {
        sum[c] += x[t][c];
        average += sum[c] / static_cast<double>(I_);
      }
      for (const double value : sum) {
        variance += (value - average) * (value - average) / static_cast<double>(I_);
      }
      for (std::size_t c = 0; c < I_; c++) {
        sum[c] = (sum[c] - average) / std::sqrt(variance + 1e-5) * at("norm.weight")[c] +
                 at("norm.bias")[c];
      }
      y.push_back(sum);
    }
    return y;
  }

  GateKind kind_;
  std::size_t I_, K_;
  std::map<std::string, std::vector<double>> values_;
};

}  // namespace farsight
