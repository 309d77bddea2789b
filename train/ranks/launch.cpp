#include "train/ranks/launch.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <random>

#include "core/check.h"
#include "core/device_calls.h"
#include "core/device_ranks.h"
#include "train/ranks/launch_job.h"
#include "train/ranks/rank_group.h"
#include "train/words.h"

namespace farsight {
namespace {

std::string new_launch() {
  std::random_device random;
  return fmt::format("launch {} {:08x}{:08x}", getpid(), random(), random());
}

/// Whether another attempt may end otherwise: not after a mistake in the settings, a divergence, or
/// when somebody wanted the end.
bool worth_restarting(int code) {
  constexpr ExitCode kLasting[] = {ExitCode::ok,        ExitCode::usage,      ExitCode::data,
                                   ExitCode::corrupt,   ExitCode::diverged,   ExitCode::memory,
                                   ExitCode::resumable, ExitCode::interrupted};
  return std::none_of(std::begin(kLasting), std::end(kLasting),
                      [&](ExitCode lasting) { return static_cast<int>(lasting) == code; });
}

int number_of(const Words& given, const char* flag, int least, int most) {
  const std::string text = *given.value(flag);
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  require(
      error == std::errc() && end == text.data() + text.size() && number >= least && number <= most,
      ExitCode::usage, "--{} must be a number from {} to {}, got '{}'", flag, least, most, text);
  return number;
}

/// Where the program begins, or the "--" before it: all options but --help have a value.
std::span<const std::string>::iterator end_of_options(std::span<const std::string> words) {
  auto at = words.begin();
  while (at != words.end() && *at != "--" && at->starts_with('-')) {
    const bool alone = *at == "--help" || *at == "-h" || at->find('=') != std::string::npos;
    at += alone || at + 1 == words.end() ? 1 : 2;
  }
  return at;
}

void require_gpus(int wanted) {
  const int count = gpu_count();
  std::string why;
  if (count == 0) {  // where there are some, nothing here touches them
    gpu_available(&why);
    fail(ExitCode::device, "--gpus {}: {}; --nproc {} trains in processes on the CPU", wanted, why,
         wanted);
  }
  require(wanted <= count, ExitCode::device, "--gpus {}: this machine shows {} GPU{}", wanted,
          count, count == 1 ? "" : "s");
  require(wanted == 1 || nccl_available(&why), ExitCode::device, "--gpus {}: {}", wanted, why);
}

}  // namespace

int launch(const LaunchSpec& spec) {
  Forwarding forwarding;
  const std::string launch = new_launch();
  for (int attempt = 0;; attempt++) {
    const int code = RankGroup(spec, job_of_attempt(launch, attempt)).run(forwarding);
    // A rank that was not ready yet to save is ended by the signal, and would look as lost.
    if (forwarding.any() || attempt >= spec.max_restarts || !worth_restarting(code)) return code;
    fmt::print(stderr, "farsight launch: exit code {}; all ranks start again (restart {} of {})\n",
               code, attempt + 1, spec.max_restarts);
  }
}

int run_launch(std::span<const std::string> words) {
  constexpr VerbOption kOptions[] = {
      {"nproc", "N", "processes to start; what they compute on is their own affair"},
      {"gpus", "N", "the same, one for each of N GPUs, which must be there"},
      {"max-restarts", "K", "start all again, at most K times, when one was lost"},
      {"help", "", "print this text and stop"}};
  const auto end = end_of_options(words);
  const auto program = end != words.end() && *end == "--" ? end + 1 : end;
  const Words given("farsight launch", kOptions, {words.begin(), end}, Words::With::options_alone);
  given.refuse_unknown();
  if (given.has("help")) {
    fmt::print(
        "{}\nThen comes the program, also after a --: farsight launch --nproc 2 mamba train\n",
        verb_help("farsight", "launch", kLaunchHelp, kOptions));
    return 0;
  }
  LaunchSpec spec;
  require(program != words.end(), ExitCode::usage,
          "farsight launch: no program was given; for example: farsight launch --nproc 2 -- mamba "
          "train");
  spec.words.assign(program, words.end());
  require(given.has("nproc") != given.has("gpus"), ExitCode::usage,
          "farsight launch: either --nproc or --gpus says how many processes to start");
  const char* count = given.has("gpus") ? "gpus" : "nproc";
  constexpr int kMostProcesses = 1024;
  spec.nproc = number_of(given, count, 1, kMostProcesses);
  if (given.has("max-restarts")) spec.max_restarts = number_of(given, "max-restarts", 0, 1000000);
  if (given.has("gpus")) require_gpus(spec.nproc);
  return launch(spec);
}

}  // namespace farsight
