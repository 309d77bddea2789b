// The long convolution against its formula: the harness (tests/op_harness_test.cpp) checks gradients
// against differences, which takes too long for the lengths at which Fourier transforms begin.
#include "ops/long_conv.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"

namespace farsight {
namespace {

struct Case {
  std::int64_t B, T, D, K;
};

struct Results {
  Tensor y, dv, dpre, dpost, dk, dbias;
};

/// The sums of the definition and their derivatives, element by element.
Results expected(const Case& c, const std::vector<Tensor>& in, const Tensor& dy) {
  const auto [B, T, D, K] = c;
  const auto zeros = [](const Tensor& like) { return Tensor::zeros(like.shape(), DType::f64); };
  const Results r{zeros(dy), zeros(in[0]), zeros(in[1]), zeros(in[2]), zeros(in[3]), zeros(in[4])};
  const auto value = [](const Tensor& x) { return x.data<double>(); };
  for (std::int64_t b = 0; b < B; b++) {
    for (std::int64_t t = 0; t < T; t++) {
      for (std::int64_t d = 0; d < D; d++) {
        const auto at = [&, b = b, D = D, T = T](std::int64_t time) {
          return (b * T + time) * D + d;
        };
        const auto w = [&](std::int64_t time) {
          return value(in[0])[at(time)] * value(in[1])[at(time)];
        };
        const std::int64_t here = at(t);
        const double bias = value(in[4])[d], dm = value(dy)[here] * value(in[2])[here];
        double m = bias * w(t);
        const auto add_dw = [&](std::int64_t time, double dw) {
          value(r.dv)[at(time)] += dw * value(in[1])[at(time)];
          value(r.dpre)[at(time)] += dw * value(in[0])[at(time)];
        };
        for (std::int64_t l = 0; l <= t && l < K; l++) {
          const double tap = value(in[3])[l * D + d];
          m += tap * w(t - l);
          add_dw(t - l, tap * dm);
          value(r.dk)[l * D + d] += dm * w(t - l);
        }
        add_dw(t, bias * dm);
        value(r.dbias)[d] += dm * w(t);
        value(r.dpost)[here] = value(dy)[here] * m;
        value(r.y)[here] = value(in[2])[here] * m;
      }
    }
  }
  return r;
}

double distance(const Tensor& a, const Tensor& b) {
  const Tensor x = a.to(DType::f64);
  double difference = 0, norm = 0;
  for (std::int64_t i = 0; i < b.elements(); i++) {
    difference += std::pow(x.data<double>()[i] - b.data<double>()[i], 2);
    norm += std::pow(b.data<double>()[i], 2);
  }
  return std::sqrt(difference / norm);
}

std::vector<Tensor> inputs_of(const Case& c) {
  const Shape sequence{c.B, c.T, c.D};
  std::vector<Tensor> in;
  for (const Shape& shape : {sequence, sequence, sequence, Shape{c.K, c.D}, Shape{c.D}}) {
    in.push_back(random_normal(shape, DType::f64, 7, in.size()));
  }
  return in;
}

std::vector<Tensor> call(std::span<const Tensor> in) {
  return {long_conv(in[0], in[1], in[2], in[3], in[4])};
}

TEST_CASE("long convolution: direct sums and Fourier transforms give what the formula gives") {
  for (const Case& c : {Case{2, 9, 3, 9}, Case{1, 33, 9, 50}, Case{2, 530, 3, 300},
                        Case{1, 1030, 9, 1200}, Case{3, 1100, 2, 1100}, Case{2, 1500, 3, 1400}}) {
    INFO(fmt::format("B={} T={} D={} K={}", c.B, c.T, c.D, c.K));
    const std::vector<Tensor> in = inputs_of(c);
    const Tensor dy = random_normal({c.B, c.T, c.D}, DType::f64, 7, 99);
    const Results wanted = expected(c, in, dy);
    for (DType type : {DType::f64, DType::f32}) {
      std::vector<Tensor> rounded;
      for (const Tensor& x : in) {
        rounded.push_back(x.to(type));
      }
      const double tolerance = type == DType::f64 ? 1e-12 : 4e-6;
      CHECK(distance(call(rounded)[0], wanted.y) < tolerance);
      const std::vector<Tensor> cotangents = {dy.to(type)};
      const std::vector<Tensor> g = gradients_of(call, rounded, cotangents);
      CHECK(distance(g[0], wanted.dv) < tolerance);
      CHECK(distance(g[1], wanted.dpre) < tolerance);
      CHECK(distance(g[2], wanted.dpost) < tolerance);
      CHECK(distance(g[3], wanted.dk) < tolerance);
      CHECK(distance(g[4], wanted.dbias) < tolerance);
    }
  }
}

TEST_CASE("long convolution: fed in pieces it gives what the whole sequence gives") {
  for (const std::int64_t K : {std::int64_t{40}, std::int64_t{11}, std::int64_t{3}}) {
    const Case c{2, 21, 5, K};
    const std::vector<Tensor> in = inputs_of(c);
    const Tensor whole = call(in)[0];
    const Tensor cache = Tensor::empty({c.B, 25, c.D}, DType::f64);
    std::int64_t done = 0;
    for (const std::int64_t piece : {1, 1, 7, 2, 9, 1}) {
      const auto rows = [&](const Tensor& x) {
        const Tensor some = Tensor::empty({c.B, piece, c.D}, DType::f64);
        for (std::int64_t b = 0; b < c.B; b++) {
          some.reshape({c.B * piece, c.D})
              .range(b * piece, piece)
              .copy_from(x.reshape({c.B * c.T, c.D}).range(b * c.T + done, piece));
        }
        return some;
      };
      const Tensor y =
          long_conv_step(rows(in[0]), rows(in[1]), rows(in[2]), in[3], in[4], cache, done);
      CHECK(distance(y, rows(whole)) < 1e-13);
      done += piece;
    }
    CHECK(done == c.T);
  }
}

TEST_CASE("long convolution: arguments that do not fit are named") {
  const std::vector<Tensor> in = inputs_of({2, 4, 3, 4});
  CHECK_THROWS_WITH_AS(long_conv(in[0], in[3], in[2], in[3], in[4]),
                       doctest::Contains("pre and post must be f64 [2, 4, 3] as v is"), Error);
  CHECK_THROWS_WITH_AS(long_conv(in[0], in[1], in[2], in[4], in[4]),
                       doctest::Contains("k must be dense [K, D=3] f64, got [3] f64"), Error);
  const Tensor cache = Tensor::empty({2, 5, 3}, DType::f64);
  CHECK_THROWS_WITH_AS(long_conv_step(in[0], in[1], in[2], in[3], in[4], cache, 2),
                       doctest::Contains("4 tokens after 2 do not fit a cache of 5"), Error);
}

}  // namespace
}  // namespace farsight
