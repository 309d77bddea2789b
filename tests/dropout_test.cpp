// Dropout: what is dropped depends on pass, stream and element alone, and training knows its pass.
#include "ops/dropout.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <map>
#include <set>

#include "core/philox.h"
#include "core/tensor.h"
#include "tests/tiny_run.h"
#include "train/from_settings.h"
#include "train/step_inputs.h"

namespace farsight {
namespace {

Tensor pass_of(std::int32_t low, std::int32_t high) {
  return Tensor::from(std::span<const std::int32_t>({std::array{low, high}}), {2});
}

Tensor ones(const Shape& shape, DType dtype = DType::f64) {
  const Tensor x = Tensor::empty(shape, DType::f64);
  std::ranges::fill(x.span<double>(), 1.0);
  return x.to(dtype);
}

std::vector<double> dropped(const Tensor& x, const DropoutOptions& options) {
  const Tensor y = dropout(x, options).to(DType::f64);
  return {y.span<double>().begin(), y.span<double>().end()};
}

TEST_CASE("dropout: the share p is dropped and the rest grows by 1 / (1 - p)") {
  const Tensor pass = pass_of(5, 6);
  for (const double p : {0.1, 0.5, 0.9}) {
    INFO("p ", p);
    const std::vector<double> y =
        dropped(ones({100, 1000}), {.p = p, .pass = &pass, .stream = hash_name("test")});
    double zeros = 0;
    for (const double value : y) {
      const bool gone = value == 0;
      if (!gone) REQUIRE(value == doctest::Approx(1 / (1 - p)).epsilon(1e-15));
      zeros += gone ? 1 : 0;
    }
    // Five standard deviations of 100,000 draws.
    CHECK(std::abs(zeros / 1e5 - p) < 5 * std::sqrt(p * (1 - p) / 1e5));
  }
}

TEST_CASE("dropout: element e has word e mod 4 of counter e / 4, whatever the type and the view") {
  const Tensor pass = pass_of(-3, 70000);
  const std::uint64_t key = (std::uint64_t{70000} << 32) | 0xfffffffdu;
  const std::uint64_t stream = hash_name("dropout/layer 3");
  const DropoutOptions options{.p = 0.25, .pass = &pass, .stream = stream};
  for (const std::int64_t columns : {1, 3, 8, 13}) {
    for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      const Tensor wide = ones({5, columns + 3}, dtype);
      for (const Tensor& x : {ones({5, columns}, dtype), wide.columns(1, columns)}) {
        const std::vector<double> y = dropped(x, options);
        for (std::size_t e = 0; e < y.size(); e++) {
          const bool kept = philox4x32(key, stream, e / 4).v[e % 4] >= 0x40000000u;
          REQUIRE((y[e] != 0) == kept);
        }
      }
    }
  }
}

TEST_CASE("dropout: another pass and another stream drop other elements, the same ones the same") {
  const Tensor x = ones({64, 16});
  const Tensor a = pass_of(1, 2), b = pass_of(1, 3), again = pass_of(1, 2);
  const std::vector<double> y = dropped(x, {.p = 0.5, .pass = &a, .stream = 7});
  CHECK(y == dropped(x, {.p = 0.5, .pass = &again, .stream = 7}));
  CHECK(y != dropped(x, {.p = 0.5, .pass = &b, .stream = 7}));
  CHECK(y != dropped(x, {.p = 0.5, .pass = &a, .stream = 8}));
}

TEST_CASE("dropout: rows that share a mask drop the same columns, and sequences differ") {
  const Tensor pass = pass_of(1, 2);
  const std::vector<double> y =
      dropped(ones({2, 6, 40}), {.p = 0.5, .pass = &pass, .stream = 7, .shared_rows = 6});
  const auto row = [&](std::ptrdiff_t r) {
    return std::vector<double>(y.begin() + 40 * r, y.begin() + 40 * (r + 1));
  };
  for (std::ptrdiff_t r = 0; r < 12; r++) {
    CHECK(row(r) == row(r / 6 * 6));
  }
  CHECK(row(0) != row(6));
}

TEST_CASE("dropout: without a pass, or with p 0, the very same tensor comes back") {
  const Tensor x = ones({3, 5}), pass = pass_of(1, 2);
  CHECK(dropout(x, {.p = 0.5}).ptr() == x.ptr());
  CHECK(dropout(x, {.p = 0, .pass = &pass}).ptr() == x.ptr());
  CHECK_THROWS_AS(dropout(x, {.p = 1, .pass = &pass}), Error);
  CHECK_THROWS_AS(dropout(x, {.p = -0.1, .pass = &pass}), Error);
  CHECK_THROWS_AS(dropout(x, {.p = 0.5, .pass = &pass, .shared_rows = 2}), Error);
  CHECK_THROWS_AS(dropout(x, {.p = 0.5, .pass = &x}), Error);
}

TEST_CASE("dropout: rows with numbers of their own have the masks of those rows") {
  const Tensor pass = pass_of(1, 2);
  const DropoutOptions options{.p = 0.5, .pass = &pass, .stream = 7};
  const std::vector<double> whole = dropped(ones({9, 13}), options);
  const auto row = [](const std::vector<double>& y, std::ptrdiff_t r) {
    return std::vector<double>(y.begin() + 13 * r, y.begin() + 13 * (r + 1));
  };
  const std::vector<std::int32_t> cut = {1, 2, 8, 0, 3};
  const Tensor numbered = Tensor::from(std::span(cut), {5});
  const std::vector<double> some =
      dropped(ones({3, 13}), {.p = 0.5, .pass = &numbered, .stream = 7});
  CHECK(row(some, 0) == row(whole, 8));
  CHECK(row(some, 1) == row(whole, 0));
  CHECK(row(some, 2) == row(whole, 3));
  // Beyond 2^31 it is still a number; a sequence that shares its mask has its first row's.
  const std::vector<std::int32_t> far = {1, 2, -1, 0, 4, 0};
  const Tensor shared = Tensor::from(std::span(far), {6});
  const std::vector<double> pairs =
      dropped(ones({4, 13}), {.p = 0.5, .pass = &shared, .stream = 7, .shared_rows = 2});
  CHECK(row(pairs, 0) == row(pairs, 1));
  CHECK(row(pairs, 2) == row(whole, 4));
  CHECK(row(pairs, 0) != row(pairs, 2));
  CHECK_THROWS_AS(dropout(ones({4, 13}), {.p = 0.5, .pass = &numbered}), Error);
}

/// What every token of some steps is dropped by: (step, key, number of the token) and how often.
using Draws = std::map<std::array<std::int64_t, 4>, int>;
Draws draws_of(const Flags& more, int world) {
  const Resolved run = resolved(tiny_flags(more));
  const TrainLoader loader = loader_of(run.settings);
  Draws draws;
  for (std::int64_t step = 0; step < 4; step++) {
    for (int rank = 0; rank < world; rank++) {
      const GlobalBatch batch = loader.at(step, {.rank = rank, .world = world});
      for (const MicroInputs& micro : inputs_of(batch, DType::f32, Device::cpu).micro_batches) {
        const auto pass = micro.pass.span<std::int32_t>();
        REQUIRE(pass.size() == 2 + static_cast<std::size_t>(micro.tokens.elements()));
        for (const std::int32_t number : pass.subspan(2))
          draws[{step, pass[0], pass[1], static_cast<std::uint32_t>(number)}]++;
      }
    }
  }
  return draws;
}

TEST_CASE("dropout: a token of a step has numbers of its own, on any rank and in any micro-batch") {
  const Draws alone = draws_of({}, 1);
  CHECK(alone.size() > 300);
  for (const auto& [draw, times] : alone)
    REQUIRE(times == 1);
  CHECK(alone == draws_of({}, 2));
  CHECK(alone == draws_of({}, 3));
  CHECK(alone == draws_of({{"train.micro_tokens", "24"}}, 1));
  CHECK(alone == draws_of({{"data.generate_on", "device"}}, 2));
  Draws packed = draws_of({{"train.packing", "on"}}, 2);  // which has fill, too, with number 0
  std::erase_if(packed, [](const auto& draw) { return draw.first[3] == 0; });
  Draws rest = alone;
  std::erase_if(rest, [](const auto& draw) { return draw.first[3] == 0; });
  CHECK(packed == rest);
  std::set<std::array<std::int64_t, 3>> keys;
  for (const char* seed : {"42", "43"}) {
    for (const auto& [draw, times] : draws_of({{"run.seed", seed}}, 1))
      keys.insert({draw[0], draw[1], draw[2]});
  }
  CHECK(keys.size() == 8);
}

}  // namespace
}  // namespace farsight
