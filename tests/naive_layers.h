// What the naive models have in common: parameters by name, and layers of one sequence as plain loops
// in double, written without a look at models/ or ops/.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "models/parameters.h"

namespace farsight {

class NaiveLayers {
 public:
  using Vector = std::vector<double>;
  using Matrix = std::vector<Vector>;  // [T][channels]

 protected:
  /// Reads every parameter; `norm_eps` is what normalised() adds to a variance.
  NaiveLayers(const ParameterStore& parameters, double norm_eps) : norm_eps_(norm_eps) {
    for (const ParameterStore::Entry& entry : parameters.entries()) {
      const Tensor wide = entry.parameter->master.to(DType::f64);
      parameters_[entry.name] = {wide.data<double>(), wide.data<double>() + wide.elements()};
    }
  }

  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
  bool has(const std::string& name) const { return parameters_.contains(name); }
  const Vector& named(const std::string& name) const { return parameters_.at(name); }

  /// Rows `ids` of a matrix of d columns.
  Matrix rows_of(const std::string& name, std::int64_t d,
                 const std::vector<std::int32_t>& ids) const {
    Matrix x;
    for (const std::int32_t id : ids) {
      const auto from = named(name).begin() + static_cast<std::ptrdiff_t>(id * d);
      x.emplace_back(from, from + static_cast<std::ptrdiff_t>(d));
    }
    return x;
  }

  static void add(Matrix& x, const Matrix& y) {
    for (std::size_t t = 0; t < x.size(); t++) {
      for (std::size_t c = 0; c < x[t].size(); c++) {
        x[t][c] += y[t][c];
      }
    }
  }

  /// W (out, in) times every row of x.
  static Matrix product(const Vector& W, const Matrix& x) {
    const std::size_t in = x[0].size(), out = W.size() / in;
    Matrix y(x.size(), Vector(out));
    for (std::size_t t = 0; t < x.size(); t++) {
      for (std::size_t o = 0; o < out; o++) {
        for (std::size_t i = 0; i < in; i++) {
          y[t][o] += W[o * in + i] * x[t][i];
        }
      }
    }
    return y;
  }
  /// name.weight times every row of x, and name.bias.
  Matrix biased(const std::string& name, const Matrix& x) const {
    Matrix y = product(named(name + ".weight"), x);
    for (Vector& row : y) {
      for (std::size_t c = 0; c < row.size(); c++) {
        row[c] += named(name + ".bias")[c];
      }
    }
    return y;
  }

  /// LayerNorm with name.weight and name.bias.
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
        row[c] = w[c] * (row[c] - mean) / std::sqrt(variance + norm_eps_) + b[c];
      }
    }
    return y;
  }

  /// fc2(gelu(fc1(x))), of these names; the exact GELU.
  Matrix gelu_mlp(const std::string& fc1, const std::string& fc2, const Matrix& x) const {
    Matrix up = biased(fc1, x);
    for (Vector& row : up) {
      for (double& v : row) {
        v = 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
      }
    }
    return biased(fc2, up);
  }

  double norm_eps_;

 private:
  std::map<std::string, Vector> parameters_;
};

}  // namespace farsight
