// Dropout: what is dropped depends on pass, stream and element alone, and training knows its pass.
#include "ops/dropout.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <set>

#include "core/philox.h"
#include "core/tensor.h"
#include "tests/tiny_run.h"
#include "train/step_inputs.h"
#include "train/task.h"

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

TEST_CASE(
    "dropout: every micro-batch of every step and rank has a pass of its own, a run repeats") {
  const auto passes = [](const char* seed, const char* made_on, Shard shard) {
    const Resolved run = resolved(tiny_flags({{"run.seed", seed}, {"data.generate_on", made_on}}));
    const TrainLoader loader = loader_of(run.settings);
    std::vector<std::pair<std::int32_t, std::int32_t>> all;
    for (std::int64_t step = 0; step < 4; step++) {
      const StepInputs inputs = inputs_of(loader.at(step, shard), DType::f32, Device::cpu);
      for (const MicroInputs& micro : inputs.micro_batches) {
        const auto halves = micro.pass.span<std::int32_t>();
        all.emplace_back(halves[0], halves[1]);
      }
    }
    return all;
  };
  const auto first = passes("42", "host", {});
  CHECK(first == passes("42", "host", {}));
  CHECK(first == passes("42", "device", {}));
  std::set<std::pair<std::int32_t, std::int32_t>> distinct(first.begin(), first.end());
  std::size_t count = first.size();
  for (const auto& more :
       {passes("43", "host", {}), passes("42", "host", {.rank = 1, .world = 2})}) {
    distinct.insert(more.begin(), more.end());
    count += more.size();
  }
  CHECK(count > 20);
  CHECK(distinct.size() == count);
}

}  // namespace
}  // namespace farsight
