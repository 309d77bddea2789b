// Training on several ranks is training on one: the same loss, the same bits where they are promised,
// one run folder, one end.
#include <cmath>
#include <csignal>
#include <limits>

#include "core/parallel.h"
#include "tests/rank_threads.h"
#include "tests/tiny_run.h"
#include "train/ranks/rank_job.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// What training left on each rank.
struct RankOutcome {
  std::string hash, error;
  ExitCode code = ExitCode::ok;
  TrainState state;
};

struct TrainedRanks {
  std::vector<RankOutcome> ranks;
  std::vector<double> losses;  // of every logged step
};

/// Called on a rank when a step is done: rank, step, its model.
using AtStep = std::function<void(int rank, int step, const Model& model)>;

std::vector<double> losses_of(const fs::path& run) {
  std::vector<double> losses;
  std::istringstream lines(read_plainly(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);)
    losses.push_back(Json::parse(line, "metrics.jsonl").at("loss").as_double());
  return losses;
}

/// Ranks as threads; the first one's folder is the run's.
TrainedRanks train_on(int world, const fs::path& folder, const Flags& more,
                      const AtStep& at_step = {}) {
  Flags flags = tiny_flags({{"run.out", folder.string()},
                            {"log.interval", "1"},
                            {"train.steps", "12"},
                            {"ranks.check_interval", "5"}});
  flags.insert(flags.end(), more.begin(), more.end());
  const Resolved settings = resolved(flags);
  const NoSync quick;
  TrainedRanks trained{.ranks = std::vector<RankOutcome>(static_cast<std::size_t>(world)),
                       .losses = {}};
  const int port = free_port();
  errors_of_threads(world, [&](int rank) {
    RankOutcome& outcome = trained.ranks[static_cast<std::size_t>(rank)];
    try {
      std::unique_ptr<RankJob> job;
      if (world > 1) {
        job = std::make_unique<RankJob>(
            std::make_unique<Ranks>(meet(place_of(rank, world, port), {}), patient_options()),
            settings.settings);
      }
      const TrainingTask task = training_task_of(settings.settings);
      const Model model = model_of(settings.settings, Device::cpu);
      std::unique_ptr<RunRecord> record;
      fs::path resume;
      if (rank == 0) {
        record = std::make_unique<RunRecord>(settings, TrainOptions{});
        if (record->continues()) resume = pointed_checkpoint(record->folder(), "latest");
      }
      if (job) {
        const std::string where = job->share(rank == 0 ? record->folder().string() : "");
        resume = job->share(resume.string());
        if (rank > 0) record = std::make_unique<RunRecord>(where);
      }
      const Display display = silent_display([&](int step) {
        if (at_step) at_step(rank, step, model);
      });
      try {
        outcome.state =
            train({settings.settings, model, *record, display, task, job.get()}, resume);
      } catch (const Error& error) {
        if (job) job->stop(error);
        throw;
      }
      outcome.hash = parameter_hash(model);
    } catch (const Error& error) {
      outcome.error = error.what();
      outcome.code = error.code();
    }
  });
  trained.losses = losses_of(folder);
  return trained;
}

/// The parameters at the end, of the last checkpoint.
std::string hash_at_end(const TrainedRanks& trained) {
  for (const RankOutcome& rank : trained.ranks) {
    INFO(rank.error);
    CHECK(rank.error.empty());
    CHECK(rank.hash == trained.ranks[0].hash);
    CHECK(rank.state.step == trained.ranks[0].state.step);
    CHECK(rank.state.tokens == trained.ranks[0].state.tokens);
  }
  return trained.ranks[0].hash;
}

/// The last checkpoint is the best, so that all ranks end with the same parameters.
const Flags kLast = {{"checkpoint.best_by", "last"}};

Flags joined(Flags a, const Flags& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

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

TEST_CASE("data parallel: only the first rank writes, and one rank writes what it writes alone") {
  const TemporaryFolder folder;
  hash_at_end(train_on(1, folder / "1", kLast));
  hash_at_end(train_on(3, folder / "3", kLast));
  const auto names = [](const fs::path& run) {
    std::vector<std::string> all;
    for (const auto& entry : fs::recursive_directory_iterator(run))
      all.push_back(fs::relative(entry.path(), run).string());
    std::sort(all.begin(), all.end());
    std::erase_if(all, [](const std::string& name) { return mentions(name, "tfevents"); });
    return all;
  };
  CHECK(names(folder / "1") == names(folder / "3"));
}

TEST_CASE("data parallel: parameters that differ are noticed, and their ranks named") {
  const TemporaryFolder folder;
  const TrainedRanks trained =
      train_on(4, folder / "run", kLast, [](int rank, int step, const Model& model) {
        if (rank == 2 && step == 3) model.parameters->values().data<float>()[5] += 1e-3f;
      });
  for (const RankOutcome& rank : trained.ranks) {
    INFO(rank.error);
    CHECK(rank.code == ExitCode::peer);
    CHECK(mentions(rank.error, "after step 5 the parameters of rank 2 are not those of rank 0"));
  }
}

TEST_CASE(
    "data parallel: a loss that is not finite ends all ranks alike, naming rank and operation") {
  const TemporaryFolder folder;
  const TrainedRanks trained = train_on(
      3, folder / "run", joined(kLast, {{"ranks.check_interval", "0"}}),
      [](int rank, int step, const Model& model) {
        if (rank == 1 && step == 4) {
          model.parameters->values().data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
          model.parameters->refresh_operands();
        }
      });
  for (const RankOutcome& rank : trained.ranks) {
    INFO(rank.error);
    CHECK(rank.code == ExitCode::diverged);
    CHECK(mentions(rank.error, "diverged at step 5"));
    CHECK(mentions(rank.error, "rank 1: "));
  }
}

TEST_CASE("data parallel: a rank that fails takes the others with it, and they say why") {
  const TemporaryFolder folder;
  const TrainedRanks trained =
      train_on(3, folder / "run", kLast, [](int rank, int step, const Model&) {
        if (rank == 1 && step == 4) fail(ExitCode::storage, "the disk is full");
      });
  CHECK(trained.ranks[1].code == ExitCode::storage);
  for (const int other : {0, 2}) {
    const RankOutcome& rank = trained.ranks[static_cast<std::size_t>(other)];
    CHECK(rank.code == ExitCode::peer);
    CHECK(mentions(rank.error, "rank 1 of 3"));
    CHECK(mentions(rank.error, "the disk is full"));
  }
}

}  // namespace
}  // namespace farsight
