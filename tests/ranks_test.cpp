// What ranks compute together.
#include "train/ranks/ranks.h"

#include <cmath>
#include <numeric>

#include "core/philox.h"
#include "tests/rank_threads.h"
#include "tests/temporary_folder.h"
#include "train/ranks/tree_sum.h"

namespace farsight {
namespace {

std::vector<float> noise(int rank, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; i++) {
    const Random4 r = philox4x32(static_cast<std::uint64_t>(rank), 5, i);
    values[i] = static_cast<float>(uniform_double(r.v[0], r.v[1]) - 0.5) *
                std::ldexp(1.0f, static_cast<int>(r.v[2] % 40));
  }
  return values;
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

TEST_CASE("ranks: an all-reduce is the tree's sum on every rank, bit by bit, at any size") {
  for (const int world : {2, 3, 4, 5, 8}) {
    for (const std::size_t count : {0u, 1u, 1000u, 600001u}) {  // more than two pieces
      if (world > 4 && count > 1000) continue;
      std::vector<std::vector<float>> terms;
      for (int rank = 0; rank < world; rank++)
        terms.push_back(noise(rank, count));
      std::vector<float*> pointers;
      for (auto& term : terms)
        pointers.push_back(term.data());
      tree_sum<float>(pointers, static_cast<std::int64_t>(count));
      CHECK(all_empty(run_ranks(world, [&](Ranks& ranks) {
        std::vector<float> mine = noise(ranks.rank(), count);
        ranks.all_reduce(std::span(mine));
        CHECK(same_bits(mine, terms[0]));
      })));
    }
  }
}

TEST_CASE("ranks: the tree is the one of its definition, and other orders give other bits") {
  std::vector<float> x = {1e8f, 1.0f, -1e8f, 1.0f, 0.3f, 3e7f, 0.7f, -3e7f};
  const float expected = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
  CHECK(expected != std::accumulate(x.begin(), x.end(), 0.0f));
  std::vector<float*> terms;
  for (float& value : x)
    terms.push_back(&value);
  tree_sum<float>(terms, 1);
  CHECK(x[0] == expected);
}

TEST_CASE("ranks: sums of doubles and whole numbers") {
  CHECK(all_empty(run_ranks(4, [](Ranks& ranks) {
    std::vector<double> real = {0.1 * ranks.rank(), 1e-300};
    ranks.all_reduce(std::span(real));
    CHECK(real[0] == (0.0 + 0.1) + (0.1 * 2 + 0.1 * 3));
    std::vector<std::int64_t> whole = {std::int64_t{1} << (50 + ranks.rank())};
    ranks.all_reduce(std::span(whole));
    CHECK(whole[0] == std::int64_t{15} << 50);
  })));
}

TEST_CASE("ranks: reduce-scatter and all-gather together are an all-reduce") {
  for (const int world : {2, 4}) {
    CHECK(all_empty(run_ranks(world, [&](Ranks& ranks) {
      const std::size_t count = 300000 * static_cast<std::size_t>(world);
      std::vector<float> whole = noise(ranks.rank(), count), parts = whole;
      ranks.all_reduce(std::span(whole));
      ranks.reduce_scatter(std::span(parts));
      const auto begin = static_cast<std::size_t>(ranks.rank()) * 300000;
      CHECK(std::memcmp(&whole[begin], &parts[begin], 300000 * sizeof(float)) == 0);
      ranks.all_gather(std::span(parts));
      CHECK(same_bits(whole, parts));
    })));
  }
}

TEST_CASE("ranks: broadcast and gather") {
  CHECK(all_empty(run_ranks(3, [](Ranks& ranks) {
    std::vector<float> values = noise(ranks.rank(), 400000);
    ranks.broadcast(std::as_writable_bytes(std::span(values)));
    CHECK(same_bits(values, noise(0, 400000)));
    const std::string mine(static_cast<std::size_t>(ranks.rank()) * 100000, 'x');
    const std::vector<std::string> all = ranks.gather(mine);
    CHECK(all.size() == (ranks.first() ? 3u : 0u));
    for (std::size_t i = 0; i < all.size(); i++)
      CHECK(all[i].size() == i * 100000);
    ranks.barrier();
  })));
}

TEST_CASE("ranks: those that do not do the same are told what each does") {
  const auto errors = run_ranks(2, [](Ranks& ranks) {
    std::vector<float> values(10);
    ranks.first() ? ranks.barrier() : ranks.all_reduce(std::span(values));
  });
  for (const std::string& error : errors) {
    CHECK(mentions(error, "all-reduce 1 of 40 bytes"));
    CHECK(mentions(error, "barrier 1 of 0 bytes"));
  }
  const auto sizes = run_ranks(2, [](Ranks& ranks) {
    std::vector<float> values(ranks.first() ? 10 : 11);
    ranks.all_reduce(std::span(values));
  });
  CHECK(mentions(sizes[0], "40 bytes"));
  CHECK(mentions(sizes[1], "44 bytes"));
}

}  // namespace
}  // namespace farsight
