// A run on several ranks has one folder and one end: what is wrong on one of them ends all, by its name.
#include <algorithm>
#include <limits>

#include "tests/rank_training.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

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

TEST_CASE("data parallel: a rank that does not see the run's folder says so") {
  const TemporaryFolder folder;
  const int port = free_port();
  const Settings settings = resolved(tiny_flags()).settings;
  const auto errors = errors_of_threads(2, [&](int rank) {
    const RankJob job(std::make_unique<Ranks>(meet(place_of(rank, 2, port), {}), patient_options()),
                      settings);
    job.require_seen(rank == 0 ? folder.path() : folder / "elsewhere");
  });
  CHECK(errors[0].empty());
  CHECK(mentions(errors[1], "rank 1 of 2 does not see the run's folder"));
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
