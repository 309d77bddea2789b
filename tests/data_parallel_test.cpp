// Training on several ranks is training on one: the same loss, and the same bits where they are promised.
#include <cmath>
#include <csignal>

#include "tests/rank_training.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

void check_same_losses(const std::vector<double>& a, const std::vector<double>& b,
                       double tolerance) {
  REQUIRE(a.size() == b.size());
  CHECK(a.size() >= 12);
  for (std::size_t i = 0; i < a.size(); i++) {
    INFO("step ", i + 1);
    CHECK(std::abs(a[i] - b[i]) <= tolerance * std::abs(b[i]));
  }
}

TEST_CASE("data parallel: N ranks have the loss of one, whatever is cut, packed or dropped") {
  const Flags kRwkv = {{"run.model", "rwkv"}, {"model.embed_dropout", "0.3"}};
  const Flags variants[] = {{},
                            {{"train.micro_tokens", "24"}},  // accumulation
                            {{"train.packing", "on"}},
                            {{"train.batch_size", "3"}},  // some ranks get nothing
                            {{"train.clip_kind", "norm"}, {"train.grad_clip", "0.5"}},
                            {{"ranks.bucket_mib", "1"}},
                            kRwkv,
                            joined(kRwkv, {{"train.micro_tokens", "24"}})};
  for (const Flags& variant : variants) {
    const Flags flags = joined(kLast, variant);
    INFO((variant.empty() ? "plain" : variant.back().first));
    const TemporaryFolder folder;
    const TrainedRanks one = train_on(1, folder / "1", flags);
    for (const int world : {2, 4}) {
      const TrainedRanks several = train_on(world, folder / std::to_string(world), flags);
      hash_at_end(several);
      check_same_losses(several.losses, one.losses, 1e-6);
    }
  }
}

TEST_CASE("data parallel: in f64 they agree to 1e-12") {
  const TemporaryFolder folder;
  const Flags flags = joined(kLast, {{"run.dtype", "f64"}});
  const TrainedRanks one = train_on(1, folder / "1", flags);
  for (const int world : {2, 3}) {
    const TrainedRanks several = train_on(world, folder / std::to_string(world), flags);
    hash_at_end(several);
    check_same_losses(several.losses, one.losses, 1e-12);
  }
}

TEST_CASE("data parallel: reproducible runs have the same bits on 1, 2, 4 and 8 ranks") {
  const Flags variants[] = {{},
                            {{"train.packing", "on"}},
                            {{"run.dtype", "bf16"}},
                            {{"run.model", "rwkv"}, {"model.embed_dropout", "0.3"}}};
  for (const Flags& variant : variants) {
    const Flags flags = joined(joined(kLast, {{"train.reproducible", "true"}}), variant);
    INFO((variant.empty() ? "plain" : variant.back().first));
    const TemporaryFolder folder;
    const TrainedRanks one = train_on(1, folder / "1", flags);
    const std::string expected = hash_at_end(one);
    for (const int world : {2, 4, 8}) {
      const TrainedRanks several = train_on(world, folder / std::to_string(world), flags);
      CHECK(hash_at_end(several) == expected);
      CHECK(several.losses == one.losses);
    }
    // The number of shards is part of the arithmetic.
    const TrainedRanks other =
        train_on(1, folder / "4 shards", joined(flags, {{"train.gradient_shards", "4"}}));
    CHECK(hash_at_end(other) != expected);
  }
}

TEST_CASE("data parallel: shards that cannot be divided among the ranks are refused") {
  const TemporaryFolder folder;
  const TrainedRanks three = train_on(3, folder / "3", {{"train.reproducible", "true"}});
  for (const RankOutcome& rank : three.ranks) {
    CHECK(rank.code == ExitCode::usage);
    CHECK(mentions(rank.error, "cannot be divided among 3 ranks"));
  }
}

TEST_CASE("data parallel: a run goes on with another number of ranks to the same bits") {
  const Flags flags = joined(kLast, {{"train.reproducible", "true"}});
  const TemporaryFolder folder;
  const std::string expected = hash_at_end(train_on(1, folder / "whole", flags));
  for (const auto& [before, after] : {std::pair{1, 2}, {2, 1}, {4, 2}, {2, 4}}) {
    const fs::path run = folder / std::to_string(10 * before + after);
    // One rank alone is asked to end: all do, after the same step.
    const TrainedRanks cut =
        train_on(before, run, flags, [last = before - 1](int rank, int step, const Model&) {
          if (rank == last && step == 7) std::raise(SIGTERM);
        });
    for (const RankOutcome& rank : cut.ranks) {
      INFO(rank.error);
      CHECK(rank.code == ExitCode::resumable);
    }
    CHECK(hash_at_end(train_on(after, run, flags)) == expected);
  }
}

TEST_CASE(
    "data parallel: with parts of the optimiser on each rank the bits are those of the whole") {
  const Flags variants[] = {{{"train.clip_kind", "value"}},
                            {{"train.clip_kind", "value"}, {"run.dtype", "bf16"}},
                            {{"train.clip_kind", "value"}, {"train.reproducible", "true"}},
                            {{"train.clip_kind", "value"}, {"train.decay_scope", "matrices"}}};
  for (const Flags& variant : variants) {
    const Flags flags = joined(kLast, variant);
    for (const int world : {2, 4}) {
      const TemporaryFolder folder;
      const TrainedRanks whole = train_on(world, folder / "whole", flags);
      const TrainedRanks parts =
          train_on(world, folder / "parts", joined(flags, {{"ranks.zero", "1"}}));
      CHECK(hash_at_end(parts) == hash_at_end(whole));
      CHECK(parts.losses == whole.losses);
      // And so are the moments, which were gathered.
      const std::string file = "step-00000012/optimizer.safetensors";
      CHECK(read_plainly(folder / "whole" / file) == read_plainly(folder / "parts" / file));
    }
  }
}

TEST_CASE("data parallel: parts clip by the norm of the whole gradient") {
  const Flags flags = joined(kLast, {{"train.clip_kind", "norm"}, {"train.grad_clip", "0.5"}});
  const TemporaryFolder folder;
  const TrainedRanks one = train_on(1, folder / "1", flags);
  const TrainedRanks parts = train_on(4, folder / "4", joined(flags, {{"ranks.zero", "1"}}));
  hash_at_end(parts);
  check_same_losses(parts.losses, one.losses, 1e-6);
}

TEST_CASE("data parallel: a run goes on with parts, and from them, on another number of ranks") {
  const Flags flags = joined(kLast, {{"train.reproducible", "true"}});
  const TemporaryFolder folder;
  const std::string expected = hash_at_end(train_on(1, folder / "whole", flags));
  for (const auto& [before, after] : {std::pair{1, 2}, {4, 2}, {2, 1}}) {
    const fs::path run = folder / std::to_string(10 * before + after);
    const Flags parts = joined(flags, {{"ranks.zero", "1"}});
    train_on(before, run, parts, [](int rank, int step, const Model&) {
      if (rank == 0 && step == 7) std::raise(SIGTERM);
    });
    CHECK(hash_at_end(train_on(after, run, parts)) == expected);
  }
}

}  // namespace
}  // namespace farsight
