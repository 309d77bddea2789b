// Whether ranks hold the same parameters is asked of a digest: every bit counts, and its place.
#include "ops/bit_digest.h"

#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <utility>

#include "core/parallel.h"
#include "core/tensor.h"
#include "tests/gpu.h"

namespace farsight {
namespace {

Tensor some_values(std::int64_t count) {
  const Tensor t = Tensor::empty({count}, DType::f32);
  for (std::int64_t i = 0; i < count; i++)
    t.data<float>()[i] = static_cast<float>(i % 1000 - 500) / 7;
  return t;
}

TEST_CASE("digest: it is the sum of its definition, whatever the number of threads") {
  const Tensor t = some_values(200003);  // more than three blocks
  std::uint64_t expected = 0;
  for (std::int64_t i = 0; i < t.elements(); i++) {
    std::uint32_t word = 0;
    std::memcpy(&word, t.data<float>() + i, sizeof word);
    std::uint64_t x = static_cast<std::uint64_t>(i) * (std::uint64_t{1} << 32) + word;
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9;
    x ^= x >> 27;
    x *= 0x94d049bb133111eb;
    x ^= x >> 31;
    expected += x;
  }
  CHECK(bit_digest(t) == expected);
  const int before = threads();
  set_threads(1);
  CHECK(bit_digest(t) == expected);
  set_threads(before);
  CHECK(bit_digest(Tensor::empty({0}, DType::f32)) == 0);
}

TEST_CASE("digest: a sign, any other bit, and two values that change places are noticed") {
  const Tensor t = some_values(3000);
  std::set<std::uint64_t> seen = {bit_digest(t)};
  const auto fresh = [&] { return seen.insert(bit_digest(t)).second; };
  float* x = t.data<float>();
  x[17] = -x[17];
  CHECK(fresh());
  x[17] = -x[17];
  x[0] = -0.0f;
  CHECK(fresh());
  x[0] = 0.0f;
  CHECK(fresh());
  for (int bit = 0; bit < 32; bit++) {
    auto* word = reinterpret_cast<std::uint32_t*>(x + 1234);
    *word ^= std::uint32_t{1} << bit;
    CHECK(fresh());
    *word ^= std::uint32_t{1} << bit;
  }
  std::swap(x[5], x[6]);
  CHECK(fresh());
  // f64 counts in words, too.
  const Tensor wide = Tensor::zeros({7}, DType::f64);
  const std::uint64_t zeros = bit_digest(wide);
  wide.data<double>()[3] = -0.0;
  CHECK(bit_digest(wide) != zeros);
}

TEST_CASE("gpu: the digest of a GPU's values is that of the same on the CPU") {
  if (!have_gpu()) return;
  for (const std::int64_t count : {0, 1, 31, 262144, 262145, 3000001}) {
    const Tensor t = some_values(count);
    CHECK(bit_digest(t.to(Device::cuda)) == bit_digest(t));
  }
}

}  // namespace
}  // namespace farsight
