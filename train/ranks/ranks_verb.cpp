#include "train/ranks/ranks_verb.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "core/check.h"
#include "core/clock.h"
#include "core/device_calls.h"
#include "core/json.h"
#include "core/tensor.h"
#include "train/from_settings.h"
#include "train/ranks/rank_job.h"
#include "train/words.h"

namespace farsight {
namespace {

constexpr std::int64_t kSmallest = std::int64_t{1} << 12,
                       kLargest = std::int64_t{1} << 29;  // bytes
constexpr int kTimes = 7;

/// Milliseconds of one all-reduce of `bytes` in f32, every rank's own.
double sum_ms(RankJob& job, DeviceRanks* gpus, const Tensor& values) {
  job.ranks().barrier();
  if (gpus == nullptr) {
    const double start = seconds_now();
    job.ranks().all_reduce(values.span<float>());
    return 1e3 * (seconds_now() - start);
  }
  const DeviceCalls& gpu = device_calls();
  gpu.mark(0);
  gpus->all_reduce(values.ptr(), values.elements(), values.dtype());
  gpus->join();
  gpu.mark(1);
  return gpu.elapsed_ms(0, 1);
}

void measure(RankJob& job, DeviceRanks* gpus, std::int64_t bytes) {
  const Device device = gpus == nullptr ? Device::cpu : Device::cuda;
  const Tensor values = Tensor::zeros({bytes / 4}, DType::f32, device, "gradients");
  std::vector<double> times;
  for (int i = 0; i < kTimes; i++)
    times.push_back(sum_ms(job, gpus, values));
  times.erase(times.begin(), times.begin() + 2);  // connections are made, pages touched
  std::ranges::sort(times);
  const double ms = times[times.size() / 2], ranks = job.world();
  if (!job.first()) return;
  const double bandwidth = 2 * (ranks - 1) / ranks * static_cast<double>(bytes) / (1e6 * ms);
  fmt::print("{}\n", Json::object({{"ranks", job.world()},
                                   {"device", gpus == nullptr ? "cpu" : gpu_name()},
                                   {"bytes", bytes},
                                   {"ms", std::round(1e4 * ms) / 1e4},
                                   {"gigabytes_per_second", std::round(100 * bandwidth) / 100}})
                         .dump());
  std::fflush(stdout);
}

}  // namespace

int run_ranks(std::span<const std::string> words) {
  constexpr VerbOption kOptions[] = {
      {"device", "auto|cpu|cuda", "between what to sum: GPUs, or processes on the CPU"},
      {"help", "", "print this text and stop"}};
  const Words given("farsight ranks", kOptions, {words.begin(), words.end()},
                    Words::With::options_alone);
  given.refuse_unknown();
  if (given.has("help")) {
    fmt::print("{}", verb_help("farsight", "ranks", kRanksHelp, kOptions));
    return 0;
  }
  Settings settings;
  const Setting& device = setting_named("run.device");
  if (given.has("device")) {
    device.set(settings, parse_value(device, *given.value("device"), "--device"));
  }
  const std::unique_ptr<RankJob> job = RankJob::join(settings);
  require(job != nullptr, ExitCode::usage,
          "farsight ranks: this process is alone; start several: farsight launch --nproc 2 -- "
          "farsight ranks");
  DeviceRanks* gpus = nullptr;
  if (device_of(settings) == Device::cuda) gpus = &job->connect_gpus();
  const std::string who = job->collect(process_name());
  if (job->first()) fmt::print(stderr, "{}\n", who);
  for (std::int64_t bytes = kSmallest; bytes <= kLargest; bytes *= 8) {
    if (gpus == nullptr && bytes > kLargest / 8) break;
    measure(*job, gpus, bytes);
  }
  job->leave();
  return 0;
}

}  // namespace farsight
