// farsight_bench: what every operation and the training step take on this machine, beside the rates
// that its memory and its matrix product reach in the same run. bench/README.md says how to read it.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "bench/results.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/version.h"
#include "train/nearest.h"

namespace farsight::bench {
namespace {

constexpr const char* kUsage =
    "usage: farsight_bench [options]\n"
    "  --only TEXT    only lines whose name and sizes contain TEXT: scan, tiny, N=64 ...\n"
    "  --quick        few runs a line: a rough number in seconds\n"
    "  --json FILE    appends every line to FILE as JSON\n"
    "  --note TEXT    written into these lines\n"
    "  --threads N    default: all processors, or FARSIGHT_THREADS\n"
    "  --help, --version\n";

struct Options {
  std::string only, json, note;
  bool quick = false;
  bool help = false, version = false;
  int threads = 0;  ///< 0: as many as there are
};

Options parse(const std::vector<std::string_view>& words) {
  constexpr std::string_view kNames[] = {"--only",    "--quick", "--json",   "--note",
                                         "--threads", "--help",  "--version"};
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
    } else if (name == "--json") {
      options.json = value();
    } else if (name == "--note") {
      options.note = value();
    } else if (name == "--threads") {
      const std::string_view text = value();
      const char* end = text.data() + text.size();
      const auto [stop, error] = std::from_chars(text.data(), end, options.threads);
      require(
          error == std::errc() && stop == end && options.threads >= 1 && options.threads <= 1024,
          ExitCode::usage, "--threads must be a whole number from 1 to 1024, got '{}'", text);
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

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

bool wanted(const Options& options, std::string_view name) {
  return name.find(options.only) != std::string_view::npos;
}

struct TrainingRun {
  std::string name, model, preset;
};

std::vector<TrainingRun> training_runs(const Options& options) {
  std::vector<TrainingRun> runs;
  for (const char* preset : {"pocket", "tiny"}) {
    for (const char* model : {"mamba", "mamba-gs"}) {
      const std::string name = fmt::format("training step, {}, {}", model, preset);
      if (wanted(options, name)) runs.push_back({name, model, preset});
    }
  }
  return runs;
}

/// The tables, with the sizes to time.
std::vector<OpCase> operations(const Options& options) {
  std::vector<OpCase> cases = op_cases();
  for (OpCase& c : cases) {
    std::erase_if(c.bench, [&](const Sizes& sizes) {
      return !wanted(options, fmt::format("{} {}", c.name, sizes_text(c, sizes)));
    });
  }
  std::erase_if(cases, [](const OpCase& c) { return c.bench.empty(); });
  return cases;
}

void measure_operations(const std::vector<OpCase>& cases, const Options& options,
                        const Context& context, JsonLines& json) {
  if (cases.empty()) return;
  NameWidths widths;
  for (const OpCase& c : cases) {
    widths.name = std::max(widths.name, std::string_view(c.name).size());
    for (const Sizes& sizes : c.bench) {
      widths.sizes = std::max(widths.sizes, sizes_text(c, sizes).size());
    }
  }
  const Effort effort = options.quick ? Effort{.seconds = 0, .least_runs = 2} : Effort{};
  print("\n" + operation_columns(widths));
  for (const OpCase& c : cases) {
    for (const Sizes& sizes : c.bench) {
      const OperationTimes times = time_operation(c, sizes, effort);
      print(operation_row(context, widths, c, sizes, times));
      json.append(operation_json(context, c, sizes, times));
    }
  }
}

void measure_training(const std::vector<TrainingRun>& runs, const Options& options,
                      const Context& context, JsonLines& json) {
  if (runs.empty()) return;
  std::size_t width = 0;
  for (const TrainingRun& run : runs) {
    width = std::max(width, run.name.size());
  }
  const Effort effort =
      options.quick ? Effort{.seconds = 0, .least_runs = 1} : Effort{.seconds = 3, .least_runs = 5};
  print("\n" + training_columns(width));
  for (const TrainingRun& run : runs) {
    const TrainingTimes times = time_training(run.model, run.preset, effort);
    print(training_row(context, width, run.name, times));
    json.append(training_json(context, run.name, times));
  }
}

void run(const Options& options, const std::string& command) {
  const std::vector<OpCase> cases = operations(options);
  const std::vector<TrainingRun> runs = training_runs(options);
  require(!cases.empty() || !runs.empty(), ExitCode::usage,
          "--only: no line has '{}' in its name or sizes; without it all are measured",
          options.only);
  JsonLines json(options.json);
  if (options.threads > 0) set_threads(options.threads);
  const Effort effort = options.quick ? Effort{.seconds = 0, .least_runs = 2} : Effort{};
  const Context context{.machine = this_machine(),
                        .ceilings = measure_ceilings(effort),
                        .command = command,
                        .note = options.note};
  print(heading(context));
  json.append(ceilings_json(context));
  measure_operations(cases, options, context, json);
  measure_training(runs, options, context, json);
}

int run_program(const std::vector<std::string_view>& words) {
  try {
    const Options options = parse({words.begin() + 1, words.end()});
    if (options.help) {
      print(kUsage);
    } else if (options.version) {
      print(fmt::format("farsight_bench {}\n", version_line()));
    } else {
      run(options, fmt::format("{}", fmt::join(words, " ")));
    }
    return static_cast<int>(ExitCode::ok);
  } catch (const Error& error) {
    fmt::print(stderr, "farsight_bench: {}\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    fmt::print(stderr, "farsight_bench: {}\n", error.what());
    return static_cast<int>(ExitCode::internal);
  }
}

}  // namespace
}  // namespace farsight::bench

int main(int argc, char** argv) {
  return farsight::bench::run_program({argv, argv + argc});
}
