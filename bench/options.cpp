#include "bench/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/check.h"
#include "core/device_calls.h"
#include "train/nearest.h"

namespace farsight::bench {
namespace {

constexpr std::string_view kUsage =
    "usage: farsight_bench [options]\n"
    "  --device D     cpu, cuda, or auto (the default): the GPU when there is one\n"
    "  --only TEXT    only lines whose name and sizes contain TEXT: scan, tiny, N=64 ...\n"
    "  --quick        few runs a line: a rough number in seconds\n"
    "  --json FILE    appends every line to FILE as JSON\n"
    "  --note TEXT    written into these lines\n"
    "  --threads N    default: all processors, or FARSIGHT_THREADS\n"
    "  --help, --version\n";

constexpr std::string_view kNames[] = {"--device", "--only",    "--quick", "--json",
                                       "--note",   "--threads", "--help",  "--version"};

int parse_threads(std::string_view text) {
  int threads = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, threads);
  require(error == std::errc() && stop == end && threads >= 1 && threads <= 1024, ExitCode::usage,
          "--threads must be a whole number from 1 to 1024, got '{}'", text);
  return threads;
}

std::string parse_device(std::string_view text) {
  require(text == "auto" || text == "cpu" || text == "cuda", ExitCode::usage,
          "--device must be auto, cpu or cuda, got '{}'", text);
  return std::string(text);
}

}  // namespace

std::string_view usage() {
  return kUsage;
}

Options parse_options(const std::vector<std::string_view>& words) {
  Options options;
  for (std::size_t i = 0; i < words.size(); i++) {
    const std::size_t equals = std::min(words[i].find('='), words[i].size());
    const std::string_view name = words[i].substr(0, equals);
    const auto value = [&]() {
      if (equals < words[i].size()) return words[i].substr(equals + 1);
      require(i + 1 < words.size(), ExitCode::usage, "{} needs a value", name);
      return words[++i];
    };
    if (name == "--only") {
      options.only = value();
    } else if (name == "--device") {
      options.device = parse_device(value());
    } else if (name == "--json") {
      options.json = value();
    } else if (name == "--note") {
      options.note = value();
    } else if (name == "--threads") {
      options.threads = parse_threads(value());
    } else if (words[i] == "--quick") {
      options.quick = true;
    } else if (words[i] == "--help") {
      options.help = true;
    } else if (words[i] == "--version") {
      options.version = true;
    } else {
      fail(ExitCode::usage, "no option '{}'{}; the options are {}", words[i],
           did_you_mean(name, kNames), fmt::join(kNames, " "));
    }
  }
  return options;
}

Device selected_device(const Options& options) {
  if (options.device == "cpu") return Device::cpu;
  std::string why;
  if (gpu_available(&why)) {
    select_gpu();
    return Device::cuda;
  }
  require(options.device != "cuda", ExitCode::device, "--device cuda: {}; use --device cpu{}", why,
          FARSIGHT_CUDA ? "" : ", or build again where nvcc is on PATH");
  return Device::cpu;
}

}  // namespace farsight::bench
