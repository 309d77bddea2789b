#include "train/ranks/rank_share.h"

#include "train/interrupts.h"

namespace farsight {
namespace {

constexpr double kResumable = 1, kInterrupted = 65536;  // votes

}  // namespace

RankShare::RankShare(RankJob* job, const TrainSettings& settings) : job_(job), shards_(1) {
  if (!settings.reproducible) return;
  shards_ = static_cast<int>(settings.gradient_shards) / (job == nullptr ? 1 : job->world());
}

std::vector<GlobalBatch> RankShare::batches(const TrainData& data, std::int64_t step) const {
  const int rank = job_ == nullptr ? 0 : job_->rank();
  const int world = job_ == nullptr ? 1 : job_->world();
  std::vector<GlobalBatch> all;
  for (int i = 0; i < shards_; i++)
    all.push_back(data.at(step, {.rank = rank * shards_ + i, .world = world * shards_}));
  return all;
}

double RankShare::vote() {
  if (!CatchInterrupts::requested()) return 0;
  return CatchInterrupts::exit_code() == ExitCode::interrupted ? kInterrupted : kResumable;
}

bool RankShare::asked_to_end(double votes) const {
  return job_ == nullptr ? CatchInterrupts::requested() : votes > 0;
}

ExitCode RankShare::exit_code(double votes) const {
  if (job_ == nullptr) return CatchInterrupts::exit_code();
  return votes < kInterrupted ? ExitCode::resumable : ExitCode::interrupted;
}

void RankShare::agree_on_best(TrainState& state) const {
  if (job_ == nullptr) return;
  double numbers[] = {state.best_score ? 1.0 : 0.0, state.best_score.value_or(0),
                      static_cast<double>(state.best_step)};
  job_->agree(numbers);
  state.best_score.reset();
  if (numbers[0] != 0) state.best_score = numbers[1];
  state.best_step = static_cast<std::int64_t>(numbers[2]);
}

}  // namespace farsight
