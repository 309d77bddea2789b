// Gradients of several ranks: which buckets go when, and that everybody ends with the tree's sum.
#include "train/ranks/gradient_sync.h"

#include <cmath>
#include <set>

#include "core/philox.h"
#include "models/model.h"
#include "ops/linear_cross_entropy.h"
#include "tests/rank_threads.h"
#include "tests/small_mamba.h"
#include "tests/temporary_folder.h"
#include "train/ranks/shard_tree.h"
#include "train/ranks/tree_sum.h"

namespace farsight {
namespace {

Model small_model(DType compute = DType::f32) {
  Model model = make_mamba(small_config(0), Device::cpu, compute);
  model.parameters->initialise(1);
  return model;
}

/// Numbers whose sum depends on the order, in the whole flat gradient.
void fill_gradients(const ParameterStore& store, int rank) {
  with_type(store.gradients().dtype(), [&]<class T>() {
    std::uint64_t i = 0;
    for (T& g : store.gradients().span<T>()) {
      const Random4 r = philox4x32(static_cast<std::uint64_t>(rank), 9, i++);
      g = T(static_cast<accumulator_t<T>>((uniform_double(r.v[0], r.v[1]) - 0.5) *
                                          std::ldexp(1.0, static_cast<int>(r.v[2] % 30))));
    }
  });
}

template <class T>
std::vector<T> copied(const Tensor& flat) {
  return {flat.span<T>().begin(), flat.span<T>().end()};
}

template <class T>
std::vector<T> tree_of(int world) {
  std::vector<std::vector<T>> terms;
  for (int rank = 0; rank < world; rank++) {
    const Model model = small_model(dtype_of<T>);
    fill_gradients(*model.parameters, rank);
    terms.push_back(copied<T>(model.parameters->gradients()));
  }
  std::vector<T*> pointers;
  for (auto& term : terms)
    pointers.push_back(term.data());
  tree_sum<T>(pointers, static_cast<std::int64_t>(terms[0].size()));
  return terms[0];
}

TEST_CASE("buckets: fixed sizes from the end, every element in one of them") {
  for (const std::int64_t flat : {1, 100, 4096, 4100}) {
    const std::vector<Bucket> buckets = cut_buckets(flat, 1024);
    std::int64_t end = flat;
    for (const Bucket& bucket : buckets) {
      CHECK(bucket.begin + bucket.count == end);
      CHECK((bucket.count == 1024 || bucket.begin == 0));
      end = bucket.begin;
    }
    CHECK(end == 0);
  }
  CHECK(cut_buckets(0, 16).empty());
}

TEST_CASE("buckets: they go during the backward, in order, complete, and only when armed") {
  const Model model = small_model();
  ParameterStore& store = *model.parameters;
  std::vector<Bucket> gone;
  BucketOrder order(store, cut_buckets(store.flat_count(), 64),
                    [&](const Bucket& bucket) { gone.push_back(bucket); });
  const std::vector<std::int32_t> ids = {1, 2, 3, 4, 5, 6, 7, 8};
  const Tensor tokens = Tensor::from(std::span(ids), {2, 4});
  const Tensor rows = Tensor::from(std::span<const std::int32_t>(ids).first(3), {3});
  const Tensor targets = Tensor::from(std::span<const std::int32_t>(ids).first(3), {3});
  const Tensor one = Tensor::from(std::span<const float>({std::array{1.0f}}), {1});
  const auto backward = [&] {
    Tape tape;
    const Tensor features = model.features(tokens, rows, nullptr, nullptr);
    const Tensor loss = linear_cross_entropy(features, model.head->operand, targets, 1.0, nullptr);
    tape.backward(loss, one);
  };
  store.forget_gradients();
  backward();
  CHECK(gone.empty());
  order.arm();
  backward();  // adds to the first: these are the last terms
  const std::size_t early = gone.size();
  CHECK(early > order.buckets().size() / 2);
  CHECK(static_cast<int>(early) == order.early());
  const std::vector<float> then = copied<float>(store.gradients());
  store.complete_gradients();
  order.finish();
  CHECK(gone == order.buckets());
  // What had gone was final.
  const std::vector<float> now = copied<float>(store.gradients());
  for (std::size_t i = 0; i < early; i++) {
    const Bucket& bucket = gone[i];
    const auto begin = static_cast<std::size_t>(bucket.begin);
    CHECK(std::memcmp(&then[begin], &now[begin],
                      static_cast<std::size_t>(bucket.count) * sizeof(float)) == 0);
  }
  order.finish();  // a step without a backward: a rank that got no example
  CHECK(gone.size() == 2 * order.buckets().size());
}

TEST_CASE("gradient sync: every rank gets the tree's sum, whatever the buckets") {
  for (const int world : {2, 3, 4}) {
    const std::vector<float> expected = tree_of<float>(world);
    for (const std::int64_t bytes : {64, 1000, 1 << 20}) {
      CHECK(all_empty(run_ranks(world, [&](Ranks& ranks) {
        const Model model = small_model();
        GradientSync sync(ranks, nullptr, *model.parameters, {.bucket_bytes = bytes});
        for (int step = 0; step < 2; step++) {
          fill_gradients(*model.parameters, ranks.rank());
          sync.expect();
          sync.finish();
          const std::vector<float> got = copied<float>(model.parameters->gradients());
          CHECK(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)) == 0);
        }
        const Tensor tally = Tensor::zeros({3}, DType::f64);
        tally.span<double>()[1] = ranks.rank() + 0.5;
        sync.sum(tally);
        CHECK(tally.span<double>()[1] == world * (world - 1) / 2 + 0.5 * world);
      })));
    }
  }
}

TEST_CASE("gradient sync: in f64, too") {
  const std::vector<double> expected = tree_of<double>(4);
  CHECK(all_empty(run_ranks(4, [&](Ranks& ranks) {
    const Model model = small_model(DType::f64);
    GradientSync sync(ranks, nullptr, *model.parameters, {});
    fill_gradients(*model.parameters, ranks.rank());
    sync.finish();
    const std::vector<double> got = copied<double>(model.parameters->gradients());
    CHECK(got == expected);
  })));
}

TEST_CASE("gradient sync: scattered, every rank gets the sum of its part and shares it") {
  for (const int world : {2, 3, 4}) {
    const std::vector<float> expected = tree_of<float>(world);
    CHECK(all_empty(run_ranks(world, [&](Ranks& ranks) {
      const Model model = small_model();
      GradientSync sync(ranks, nullptr, *model.parameters, {.scattered = true});
      fill_gradients(*model.parameters, ranks.rank());
      sync.expect();
      sync.finish();
      const Tensor& flat = model.parameters->gradients();
      const Bucket own = owned_part(flat.elements(), ranks.rank(), world);
      const auto begin = static_cast<std::size_t>(own.begin);
      CHECK(std::memcmp(flat.data<float>() + own.begin, &expected[begin],
                        static_cast<std::size_t>(own.count) * sizeof(float)) == 0);
      sync.share_parts(flat);
      const std::vector<float> got = copied<float>(flat);
      CHECK(got == expected);
    })));
  }
}

TEST_CASE("gradient sync: parts cover everything, in whole groups") {
  for (const std::int64_t count : {16, 160, 4096, 100016}) {
    for (const int world : {1, 2, 3, 7, 8}) {
      std::int64_t end = 0;
      for (int rank = 0; rank < world; rank++) {
        const Bucket part = owned_part(count, rank, world);
        CHECK(part.begin == end);
        CHECK(part.begin % 16 == 0);
        end += part.count;
      }
      CHECK(end == count);
    }
  }
}

TEST_CASE("gradient sync: a rank lost during a bucket is named") {
  const auto errors = run_ranks(3, [&](Ranks& ranks) {
    const Model model = small_model();
    GradientSync sync(ranks, nullptr, *model.parameters, {.bucket_bytes = 256});
    if (ranks.rank() == 2) throw std::runtime_error("gone");
    sync.expect();
    sync.finish();
  });
  CHECK(mentions(errors[0], "rank 2 of 3"));
  CHECK(mentions(errors[1], "rank 2 of 3"));
}

TEST_CASE("shard tree: S shards over N ranks are the tree of S, bit by bit") {
  constexpr int kShards = 8;
  const std::vector<float> expected = tree_of<float>(kShards);
  for (const int world : {1, 2, 4, 8}) {
    const int own = kShards / world;
    const auto body = [&](int rank, GradientSync* sync, const Model& model) {
      ShardTree tree(model.parameters->gradients(), own);
      for (int step = 0; step < 2; step++) {
        for (int i = 0; i < own; i++) {
          fill_gradients(*model.parameters, rank * own + i);
          tree.add();
        }
        if (sync != nullptr) sync->finish();
        CHECK(copied<float>(model.parameters->gradients()) == expected);
      }
    };
    if (world == 1) {
      body(0, nullptr, small_model());
      continue;
    }
    CHECK(all_empty(run_ranks(world, [&](Ranks& ranks) {
      const Model model = small_model();
      GradientSync sync(ranks, nullptr, *model.parameters, {.ordered = true});
      body(ranks.rank(), &sync, model);
    })));
  }
}

}  // namespace
}  // namespace farsight
