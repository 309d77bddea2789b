// Whole training runs on ranks that are threads of the test's process.
#pragma once

#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tests/rank_threads.h"
#include "tests/tiny_run.h"
#include "train/ranks/rank_job.h"

namespace farsight {

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

inline std::vector<double> losses_of(const std::filesystem::path& run) {
  std::vector<double> losses;
  std::istringstream lines(read_plainly(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);)
    losses.push_back(Json::parse(line, "metrics.jsonl").at("loss").as_double());
  return losses;
}

/// Ranks as threads; the first one's folder is the run's.
inline TrainedRanks train_on(int world, const std::filesystem::path& folder, const Flags& more,
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
      std::filesystem::path resume;
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
inline std::string hash_at_end(const TrainedRanks& trained) {
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
inline const Flags kLast = {{"checkpoint.best_by", "last"}};

inline Flags joined(Flags a, const Flags& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace farsight
