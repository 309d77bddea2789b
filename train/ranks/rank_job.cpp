#include "train/ranks/rank_job.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>

#include "core/check.h"
#include "core/clock.h"
#include "core/device_calls.h"
#include "core/hash.h"
#include "core/parallel.h"
#include "core/version.h"
#include "ops/bit_digest.h"
#include "train/ranks/launch_place.h"

namespace farsight {
namespace {

constexpr double kVerdictSeconds = 0.3;
constexpr double kLongSeconds = 3600;  // for what one rank may do alone: read a corpus, save

/// Everything that all ranks must have alike.
Facts facts_of(const Settings& settings, bool on_gpu) {
  Facts facts = {{"build", version_line()}, {"device", on_gpu ? "cuda" : "cpu"}};
  for (const Setting& setting : all_settings())
    facts.emplace_back(setting.name, toml_of(setting.get(settings)));
  return facts;
}

/// Chooses this rank's GPU. Whether it will be used.
bool take_gpu(const Settings& settings, const LaunchPlace& place) {
  if (settings.run.device == DeviceChoice::cpu || settings.run.dtype == DType::f64) return false;
  const int count = gpu_count();
  // A scheduler may show each rank its own GPU alone; that two have one is noticed when they connect.
  require(
      count <= 1 || place.local_rank < count, ExitCode::device,
      "rank {} of {} is number {} of this host's, which shows {} GPUs: start one rank for each, "
      "or use --device cpu",
      place.rank, place.world, place.local_rank, count);
  if (count > 1) choose_gpu(place.local_rank);
  std::string why;
  const bool works = gpu_available(&why);
  require(works || settings.run.device != DeviceChoice::cuda, ExitCode::device,
          "--device cuda: {}; use --device cpu", why);
  if (works && !nccl_available(&why)) fail(ExitCode::device, "{}", why);
  return works;
}

/// Processes of one host share its cores.
void share_cores(const Settings& settings, const LaunchPlace& place) {
  if (settings.run.threads > 0 || std::getenv("FARSIGHT_THREADS") != nullptr) return;
  if (place.local_world > 1) set_threads(std::max(1, threads() / place.local_world));
}

}  // namespace

std::unique_ptr<RankJob> RankJob::join(const Settings& settings) {
  const std::optional<LaunchPlace> place =
      launch_place(process_variables(), settings.ranks.rendezvous);
  if (!place || place->world == 1) return nullptr;
  share_cores(settings, *place);
  const bool on_gpu = take_gpu(settings, *place);
  RanksOptions options{.collective_seconds = settings.ranks.timeout};
  auto ranks = std::make_unique<Ranks>(
      meet(*place, facts_of(settings, on_gpu), settings.ranks.meeting_timeout), options);
  return std::make_unique<RankJob>(std::move(ranks), settings);
}

RankJob::RankJob(std::unique_ptr<Ranks> ranks, const Settings& settings)
    : ranks_(std::move(ranks)), settings_(settings), watched_(std::make_shared<Watched>()) {
  const bool ordered = settings.train.reproducible;
  const std::int64_t shards = settings.train.gradient_shards;
  require(
      !ordered || shards % world() == 0, ExitCode::usage,
      "train.gradient_shards = {} cannot be divided among {} ranks: with train.reproducible the "
      "number of ranks must be a power of two, at most train.gradient_shards",
      shards, world());
}

std::string RankJob::name() const {
  return fmt::format("rank {} of {}", rank(), world());
}

DeviceRanks& RankJob::connect_gpus() {
  // Two ranks of one GPU would wait for each other for ever.
  const std::vector<std::string> gpus = ranks_->gather(gpu_identity(), kLongSeconds);
  std::string verdict;
  for (std::size_t i = 0; i < gpus.size() && verdict.empty(); i++) {
    const auto twin =
        std::find(gpus.begin(), gpus.begin() + static_cast<std::ptrdiff_t>(i), gpus[i]);
    if (twin - gpus.begin() == static_cast<std::ptrdiff_t>(i)) continue;
    verdict = fmt::format("ranks {} and {} have the same GPU: start one rank for each",
                          twin - gpus.begin(), i);
  }
  verdict = share(verdict);
  require(verdict.empty(), ExitCode::device, "{}", verdict);
  DeviceRanks::Id id{};
  if (first()) id = DeviceRanks::new_id();
  ranks_->broadcast(id);
  watched_->gpus = std::make_shared<DeviceRanks>(id, rank(), world(), settings_.ranks.timeout);
  watched_->name = name();
  // The first rank knows who is behind: the others give it the time to say so.
  watched_->timeout = settings_.ranks.timeout + (first() ? 0 : 5);
  watched_->liveness = &ranks_->liveness();
  ranks_->on_loss([watched = watched_] { watched->gpus->abort(); });
  ranks_->liveness().also_watch([watched = watched_] { return watched->look(); });
  return *watched_->gpus;
}

std::optional<std::string> RankJob::Watched::look() {
  if (const std::optional<std::string> failure = gpus->failure()) {
    // That a process is gone says more, and comes by another way at about the same time.
    if (failed_since == 0) failed_since = seconds_now();
    if (seconds_now() - failed_since < kVerdictSeconds) return std::nullopt;
    return fmt::format("{}: {}", name, *failure);
  }
  const double since = waiting_since;
  if (since == 0 || seconds_now() - since < timeout) return std::nullopt;
  const std::string behind = liveness->behind();
  return fmt::format("{} has waited {:.0f} s (ranks.timeout) for a step that all ranks compute: {}",
                     name, seconds_now() - since, behind.empty() ? "one of them hangs" : behind);
}

std::unique_ptr<GradientSync> RankJob::follow(const Model& model) {
  if (model.parameters->device() == Device::cuda) connect_gpus();
  return std::make_unique<GradientSync>(
      *ranks_, watched_->gpus.get(), *model.parameters,
      GradientSyncOptions{.bucket_bytes = settings_.ranks.bucket_mib << 20,
                          .ordered = settings_.train.reproducible,
                          .scattered = settings_.ranks.zero == 1});
}

std::string RankJob::share(const std::string& text) {
  std::uint64_t size = text.size();
  ranks_->broadcast(std::as_writable_bytes(std::span(&size, 1)), kLongSeconds);
  check(size < (std::uint64_t{1} << 30), "share: {} bytes are too many", size);
  std::string shared = text;
  shared.resize(size);
  ranks_->broadcast(std::as_writable_bytes(std::span(shared)), kLongSeconds);
  return shared;
}

void RankJob::require_seen(const std::filesystem::path& folder) const {
  constexpr double kLate = 5;  // file systems of several hosts are late at times
  std::error_code unseen;
  const auto seen = [&] { return std::filesystem::is_directory(folder, unseen); };
  for (const double until = seconds_now() + kLate; !seen() && seconds_now() < until;)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  require(seen(), ExitCode::storage,
          "{} does not see the run's folder {}, which rank 0 writes: all ranks need it, on a file "
          "system that they share",
          name(), folder.string());
}

void RankJob::wait_for_all() {
  ranks_->barrier(kLongSeconds);
}

std::string RankJob::collect(const std::string& text) {
  const std::vector<std::string> all = ranks_->gather(text, kLongSeconds);
  std::vector<std::string> said;
  for (std::size_t i = 0; i < all.size(); i++) {
    if (!all[i].empty()) said.push_back(fmt::format("rank {}: {}", i, all[i]));
  }
  return share(fmt::format("{}", fmt::join(said, "; ")));
}

void RankJob::compare_parameters(const Model& model, std::int64_t step) {
  const std::vector<std::string> digests =
      ranks_->gather(hex(bit_digest(model.parameters->values())), kLongSeconds);
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < digests.size(); i++) {
    if (digests[i] != digests.front()) others.push_back(i);
  }
  const std::string verdict = share(
      others.empty() ? ""
                     : fmt::format("after step {} the parameters of {} {} are not those of rank 0 "
                                   "(compared every {} steps, ranks.check_interval): a GPU or its "
                                   "memory may be faulty",
                                   step, others.size() == 1 ? "rank" : "ranks",
                                   fmt::join(others, ", "), settings_.ranks.check_interval));
  if (verdict.empty()) return;
  leave();
  fail(ExitCode::peer, "{}", verdict);
}

bool RankJob::leads(const std::string& collected) const {
  return collected.starts_with(fmt::format("rank {}: ", rank()));
}

void RankJob::agree(std::span<double> numbers) {
  ranks_->broadcast(std::as_writable_bytes(numbers), kLongSeconds);
}

void RankJob::step_launched(std::int64_t step) {
  ranks_->liveness().progress(step);
  double nothing = 0;
  watched_->waiting_since.compare_exchange_strong(nothing, seconds_now());
}

void RankJob::step_done(bool more) {
  watched_->waiting_since = more ? seconds_now() : 0;
}

void RankJob::leave() {
  ranks_->leave(kLongSeconds);
}

void RankJob::stop(const Error& error) {
  const bool follows = error.code() == ExitCode::peer || error.code() == ExitCode::device;
  const std::string loss =
      follows ? ranks_->liveness().loss_within(kVerdictSeconds) : ranks_->liveness().loss();
  if (!loss.empty()) fail(ExitCode::peer, "{}", loss);
  ranks_->stop(error.what());
}

void RankJob::stop(const std::string& sentence) {
  ranks_->stop(sentence);
}

}  // namespace farsight
