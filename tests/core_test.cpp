// Numbers and loops: bf16, Philox, parallel_for.
#include <doctest/doctest.h>

#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/check.h"
#include "core/dtype.h"
#include "core/parallel.h"
#include "core/philox.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

bf16 of_bits(std::uint32_t bits) {
  bf16 b;
  b.bits = static_cast<std::uint16_t>(bits);
  return b;
}

/// The value of a finite bf16 by its definition: sign, 8 bits of exponent, 7 of fraction.
double by_definition(std::uint32_t bits) {
  const int exponent = static_cast<int>(bits >> 7 & 255), fraction = static_cast<int>(bits & 127);
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -133) : std::ldexp(128 + fraction, exponent - 134);
  return bits >> 15 != 0 ? -magnitude : magnitude;
}

struct ThreadsRestored {
  int before = threads();
  ~ThreadsRestored() { set_threads(before); }
};

}  // namespace

TEST_CASE("bf16: all 65,536 values are read by the definition and written back unchanged") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 65536; bits++) {
    const float value = static_cast<float>(of_bits(bits));
    const bool special = (bits >> 7 & 255) == 255;
    if (special && (bits & 127) != 0) {
      wrong += !std::isnan(value);
      // A NaN stays a NaN of its sign; a signalling one becomes quiet.
      wrong += bf16(value).bits != (bits | 0x40);
      continue;
    }
    const double expected =
        special ? (bits >> 15 != 0 ? -HUGE_VAL : HUGE_VAL) : by_definition(bits);
    wrong += static_cast<double>(value) != expected;
    wrong += std::signbit(value) != (bits >> 15 != 0);
    wrong += bf16(value).bits != bits;
  }
  CHECK(wrong == 0);
}

TEST_CASE("bf16: rounds to the nearest, ties to even, overflow to infinity") {
  int wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x7f80; bits++) {
    // Between two neighbours (the upper of the largest is 2^128): below, at and above the middle.
    const double low = by_definition(bits);
    const double high = bits + 1 == 0x7f80 ? 0x1p128 : by_definition(bits + 1);
    const float middle = static_cast<float>((low + high) / 2);
    const std::uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    for (const float sign : {1.0f, -1.0f}) {
      const std::uint32_t s = sign < 0 ? 0x8000 : 0;
      wrong += bf16(sign * middle).bits != (s | even);
      wrong += bf16(sign * std::nextafterf(middle, 0.0f)).bits != (s | bits);
      wrong += bf16(sign * std::nextafterf(middle, HUGE_VALF)).bits != (s | (bits + 1));
    }
  }
  CHECK(wrong == 0);
  CHECK(bf16(std::numeric_limits<float>::max()).bits == 0x7f80);
  CHECK(bf16(std::bit_cast<float>(0x7f800001u)).bits == 0x7fc0);
  CHECK(bf16(std::bit_cast<float>(0xff800001u)).bits == 0xffc0);
}

TEST_CASE("philox: the known answers of Random123") {
  const auto answers = [](std::uint64_t key, std::uint64_t high, std::uint64_t low,
                          std::vector<std::uint32_t> expected) {
    const Random4 got = philox4x32(key, high, low);
    CHECK(std::vector<std::uint32_t>(got.v, got.v + 4) == expected);
  };
  answers(0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  answers(~0ull, ~0ull, ~0ull, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  answers(0x299f31d0a4093822ull, 0x0370734413198a2eull, 0x85a308d3243f6a88ull,
          {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("philox: a sequence is a function of key and item, and its copies repeat") {
  PhiloxSequence a(5, 7), b(5, 7), other(5, 8);
  int different = 0;
  for (std::uint64_t block = 0; block < 3; block++) {
    const Random4 expected = philox4x32(5, 7, block);
    for (const std::uint32_t v : expected.v) {
      const std::uint32_t draw = a.next();
      CHECK(draw == v);
      CHECK(b.next() == v);
      different += other.next() != v;
    }
  }
  CHECK(different == 12);
  PhiloxSequence copy = a;
  CHECK(copy.next64() == a.next64());
  CHECK(philox_key(1, 2) != philox_key(2, 1));
  CHECK(hash_name("") == 0xcbf29ce484222325ull);
  CHECK(hash_name("a") == 0xaf63dc4c8601ec8cull);
}

TEST_CASE("philox: below and below64 are unbiased and stay in range") {
  PhiloxSequence random(philox_key(3, hash_name("unbiased")), 0);
  // 3/4 of 2^32: without rejection, the lower third would come twice as often as the rest.
  constexpr std::uint32_t n = 0xc0000000u;
  constexpr int kDraws = 30000;
  int thirds[3] = {}, thirds64[3] = {};
  for (int i = 0; i < kDraws; i++) {
    const std::uint32_t draw = random.below(n);
    REQUIRE(draw < n);
    thirds[draw / (n / 3)]++;
    const std::uint64_t wide = random.below64(std::uint64_t{n} << 32);
    REQUIRE(wide < std::uint64_t{n} << 32);
    thirds64[wide / ((std::uint64_t{n} << 32) / 3)]++;
  }
  for (int i = 0; i < 3; i++) {  // six standard deviations
    CHECK(std::abs(thirds[i] - kDraws / 3) < 6 * 82);
    CHECK(std::abs(thirds64[i] - kDraws / 3) < 6 * 82);
  }
  std::vector<int> small(5, 0), small64(5, 0);
  for (int i = 0; i < 50000; i++) {
    small[random.below(5)]++;
    small64[random.below64(5)]++;
    REQUIRE(random.below(1) == 0);
    REQUIRE(random.below64(1) == 0);
  }
  for (std::size_t i = 0; i < 5; i++) {
    CHECK(std::abs(small[i] - 10000) < 6 * 90);
    CHECK(std::abs(small64[i] - 10000) < 6 * 90);
  }
  bool first = false, last = false;
  for (int i = 0; i < 1000; i++) {
    const std::int32_t draw = random.between(-2, 3);
    REQUIRE((draw >= -2 && draw <= 3));
    first |= draw == -2;
    last |= draw == 3;
  }
  CHECK((first && last));
  random.between(std::numeric_limits<std::int32_t>::min(),
                 std::numeric_limits<std::int32_t>::max() - 1);
}

TEST_CASE("philox: uniform numbers never reach 0 or 1") {
  CHECK(uniform_float(0) > 0.0f);
  CHECK(uniform_float(~0u) < 1.0f);
  CHECK(uniform_double(0, 0) > 0.0);
  CHECK(uniform_double(~0u, ~0u) < 1.0);
  CHECK(uniform_float(0x80000000u) == doctest::Approx(0.5).epsilon(1e-6));
}

TEST_CASE("parallel: every index runs once, for counts from 0 to odd, on 1 to 4 threads") {
  const ThreadsRestored restored;
  for (int count = 1; count <= 4; count++) {
    set_threads(count);
    CHECK(threads() == count);
    for (const std::int64_t n : {0, 1, 2, 3, 7, 64, 1001}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(n));
      parallel_for(n, [&](std::int64_t i) { runs[static_cast<std::size_t>(i)]++; });
      int wrong = 0;
      for (const auto& r : runs) {
        wrong += r != 1;
      }
      CHECK(wrong == 0);
    }
    std::vector<int> covered(1001, 0);
    parallel_blocks(1001, 10, [&](std::int64_t begin, std::int64_t end) {
      CHECK(begin % 10 == 0);
      for (std::int64_t i = begin; i < end; i++) {
        covered[static_cast<std::size_t>(i)]++;
      }
    });
    CHECK(covered == std::vector<int>(1001, 1));
  }
}

TEST_CASE("parallel: results do not depend on the number of threads") {
  const ThreadsRestored restored;
  std::vector<std::vector<float>> results;
  for (int count = 1; count <= 4; count++) {
    set_threads(count);
    std::vector<float> sums(37);
    parallel_for(37, [&](std::int64_t i) {
      PhiloxSequence random(1, static_cast<std::uint64_t>(i));
      float sum = 0;
      for (int k = 0; k < 1000; k++) {
        sum += uniform_float(random.next());
      }
      sums[static_cast<std::size_t>(i)] = sum;
    });
    results.push_back(sums);
    CHECK(results.back() == results.front());
  }
}

TEST_CASE("parallel: an exception of a task is rethrown, and the pool goes on") {
  const ThreadsRestored restored;
  for (int count = 1; count <= 3; count++) {
    set_threads(count);
    for (const std::int64_t n : {1, 2, 100}) {
      std::atomic<int> after{0};
      CHECK(error_of([&] {
              parallel_for(
                  n, [&](std::int64_t i) { require(i != n - 1, ExitCode::data, "at {}", i); });
            }) == "at " + std::to_string(n - 1));
      parallel_for(n, [&](std::int64_t) { after++; });
      CHECK(after == n);
    }
  }
}

TEST_CASE("parallel: a nested loop runs, and what a task may ask or not") {
  const ThreadsRestored restored;
  set_threads(3);
  std::atomic<int> runs{0}, asked{0};
  parallel_for(5, [&](std::int64_t) {
    parallel_for(7, [&](std::int64_t) { runs++; });
    asked += threads();
    CHECK_THROWS_AS(set_threads(2), Error);
  });
  CHECK(runs == 35);
  CHECK(asked == 15);
  CHECK_THROWS_AS(set_threads(0), Error);
  CHECK(error_of([] {
          parallel_for(4, [](std::int64_t) {
            parallel_for(4, [](std::int64_t) { fail(ExitCode::data, "inner"); });
          });
        }) == "inner");
}

}  // namespace farsight
