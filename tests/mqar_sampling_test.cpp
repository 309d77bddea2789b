// Draws without replacement, the power law of the query slots, and computed permutations.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <vector>

#include "core/check.h"
#include "data/permutation.h"
#include "data/sampling.h"

namespace farsight {
namespace {

/// Sum of (seen - expected)^2 / expected: about the number of bins, if the bins are right.
double chi_square(const std::vector<int>& seen, const std::vector<double>& expected) {
  double sum = 0;
  for (std::size_t i = 0; i < seen.size(); i++) {
    sum += (seen[i] - expected[i]) * (seen[i] - expected[i]) / expected[i];
  }
  return sum;
}

/// p_i of the first draw from S slots, straight from the formula; index i - 1.
std::vector<double> power_law(int slots, double a) {
  std::vector<double> p;
  double sum = 0;
  for (int i = 1; i <= slots; i++) {
    p.push_back(a * std::pow(i, a - 1));
    sum += p.back();
  }
  for (double& share : p) {
    share /= sum;
  }
  return p;
}

double share_of_weight(const PowerLawSlots& table, int slot, int slots) {
  double sum = 0;
  for (int i = 0; i < slots; i++) {
    sum += static_cast<double>(table.weight(i));
  }
  return static_cast<double>(table.weight(slot)) / sum;
}

TEST_CASE("sampling: distinct draws are distinct and in range, down to an emptied deck") {
  for (const auto& [n, count] : {std::pair{1, 1}, {7, 7}, {100, 99}, {9999, 128}, {5, 0}}) {
    PhiloxSequence random(1, 2);
    const std::vector<int> drawn = sample_distinct(random, n, count);
    CHECK(drawn.size() == static_cast<std::size_t>(count));
    const std::set<int> unique(drawn.begin(), drawn.end());
    CHECK(unique.size() == drawn.size());
    for (const int x : drawn) {
      CHECK(x >= 0);
      CHECK(x < n);
    }
  }
  PhiloxSequence random(1, 2);
  CHECK_THROWS_AS(sample_distinct(random, 3, 4), Error);
}

TEST_CASE("sampling: every ordered choice of distinct draws is equally likely") {
  constexpr int kTrials = 60'000;
  std::vector<int> seen(20, 0);  // ordered pairs from 5
  for (std::uint64_t item = 0; item < kTrials; item++) {
    PhiloxSequence random(3, item);
    const std::vector<int> drawn = sample_distinct(random, 5, 2);
    const int second = drawn[1] - (drawn[1] > drawn[0] ? 1 : 0);
    seen[static_cast<std::size_t>(4 * drawn[0] + second)]++;
  }
  CHECK(chi_square(seen, std::vector<double>(20, kTrials / 20.0)) < 45);  // 19 degrees, p = 0.0007
}

TEST_CASE("sampling: power-law weights are the formula's, and the worked numbers come out") {
  const PowerLawSlots table(255);
  CHECK(share_of_weight(table, 0, 255) == doctest::Approx(0.1593).epsilon(0.0004));
  CHECK(share_of_weight(table, 1, 255) == doctest::Approx(0.0802).epsilon(0.0007));
  CHECK(share_of_weight(table, 0, 16) == doctest::Approx(0.2924).epsilon(0.0002));
  const std::vector<double> p = power_law(255, 0.01);
  double first_13 = 0;
  for (int slot = 0; slot < 255; slot++) {
    const double share = share_of_weight(table, slot, 255);
    CHECK(share == doctest::Approx(p[static_cast<std::size_t>(slot)]).epsilon(1e-9));
    if (slot < 13) first_13 += share;
  }
  CHECK(first_13 == doctest::Approx(0.5).epsilon(0.02));
}

TEST_CASE("sampling: the first slot drawn follows p_i for any number of slots of one table") {
  constexpr int kTrials = 40'000;
  const PowerLawSlots table(300);
  for (const int slots : {1, 2, 16, 37, 255}) {
    CAPTURE(slots);
    std::vector<int> seen(static_cast<std::size_t>(slots), 0);
    for (std::uint64_t item = 0; item < kTrials; item++) {
      PhiloxSequence random(4, item);
      seen[static_cast<std::size_t>(table.draw(random, slots, 1)[0])]++;
    }
    std::vector<double> expected = power_law(slots, 0.01);
    for (double& p : expected) {
      p *= kTrials;
    }
    const double degrees = slots - 1;
    CHECK(chi_square(seen, expected) <= degrees + 4 * std::sqrt(2 * degrees));
  }
}

TEST_CASE("sampling: later slots are drawn with the probabilities renormalised over those left") {
  constexpr int kTrials = 60'000;
  const PowerLawSlots table(3);
  std::array<double, 3> w = {1, std::pow(2, -0.99), std::pow(3, -0.99)};
  const double all = w[0] + w[1] + w[2];
  std::vector<int> seen(6, 0);
  std::vector<double> expected;
  for (std::size_t first = 0; first < 3; first++) {
    for (std::size_t second = 0; second < 3; second++) {
      if (second == first) continue;
      expected.push_back(kTrials * (w[first] / all) * (w[second] / (all - w[first])));
    }
  }
  for (std::uint64_t item = 0; item < kTrials; item++) {
    PhiloxSequence random(5, item);
    const std::vector<int> order = table.draw(random, 3, 3);
    CHECK(order[0] + order[1] + order[2] == 3);
    seen[static_cast<std::size_t>(2 * order[0] + order[1] - (order[1] > order[0] ? 1 : 0))]++;
  }
  CHECK(chi_square(seen, expected) < 22);  // 5 degrees, p = 0.0005
}

TEST_CASE("sampling: a = 1 draws slots uniformly, and a large table can be emptied") {
  const PowerLawSlots uniform(9, 1.0);
  for (int slot = 0; slot < 9; slot++) {
    CHECK(uniform.weight(slot) == uniform.weight(0));
  }
  const PowerLawSlots large(32'767);
  PhiloxSequence random(6, 0);
  std::vector<int> order = large.draw(random, 32'767, 32'767);
  std::sort(order.begin(), order.end());
  for (int slot = 0; slot < 32'767; slot++) {
    REQUIRE(order[static_cast<std::size_t>(slot)] == slot);
  }
  CHECK_THROWS_AS(uniform.draw(random, 10, 1), Error);
  CHECK_THROWS_AS(uniform.draw(random, 5, 6), Error);
}

TEST_CASE("permutation: is a bijection of [0, n) for powers of two, odd and tiny n") {
  for (const std::uint64_t n : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 31u, 64u, 65u, 1000u, 4099u, 52001u}) {
    CAPTURE(n);
    const Permutation order(n, 7);
    std::vector<int> hits(n, 0);
    for (std::uint64_t i = 0; i < n; i++) {
      const std::uint64_t j = order(i);
      REQUIRE(j < n);
      hits[j]++;
    }
    CHECK(std::count(hits.begin(), hits.end(), 1) == static_cast<std::int64_t>(n));
  }
  CHECK_THROWS_AS(Permutation(0, 1), Error);
  CHECK_THROWS_AS(Permutation(5, 1)(5), Error);
}

TEST_CASE("permutation: over its keys every place goes everywhere equally often") {
  constexpr std::uint64_t kSize = 26;
  constexpr int kKeys = 5200;
  for (const std::uint64_t place : {0u, 13u, 25u}) {
    std::vector<int> seen(kSize, 0);
    for (std::uint64_t key = 0; key < kKeys; key++) {
      seen[Permutation(kSize, philox_key(8, key))(place)]++;
    }
    CHECK(chi_square(seen, std::vector<double>(kSize, kKeys / 26.0)) < 55);  // 25 degrees
  }
}

TEST_CASE("permutation: neighbours are torn apart and keys give unrelated orders") {
  constexpr std::uint64_t kSize = 10'001;
  const Permutation order(kSize, 9);
  const Permutation other(kSize, 10);
  double distance = 0;
  int same = 0;
  for (std::uint64_t i = 0; i + 1 < kSize; i++) {
    distance += std::abs(static_cast<double>(order(i + 1)) - static_cast<double>(order(i)));
    same += order(i) == other(i) ? 1 : 0;
  }
  CHECK(distance / (kSize * kSize) == doctest::Approx(1.0 / 3).epsilon(0.03));
  CHECK(same < 10);  // 1 expected
}

}  // namespace
}  // namespace farsight
