// farsight_bench: what every operation and the training step take on this machine or its GPU, beside
// the rates that its memory and its matrix product reach in the same run. bench/README.md says how to
// read it.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/gpu.h"
#include "bench/options.h"
#include "bench/results.h"
#include "core/check.h"
#include "core/parallel.h"
#include "core/version.h"

namespace farsight::bench {
namespace {

struct TrainingLine {
  std::string name, model, preset;
};

std::vector<TrainingLine> training_lines(const Options& options) {
  std::vector<TrainingLine> runs;
  for (const char* preset : {"pocket", "tiny"}) {
    for (const char* model : {"mamba", "mamba-gs"}) {
      const std::string name = fmt::format("training step, {}, {}", model, preset);
      if (options.wants(name)) runs.push_back({name, model, preset});
    }
  }
  return runs;
}

/// Tasks whose examples are made: every kind of layout and every other kind.
std::vector<std::string> generation_lines(const Options& options) {
  std::vector<std::string> tasks;
  for (const char* task : {"standard", "last", "shuffle", "k1v1", "k2v2", "k4v8", "k4v8-shuffle",
                           "position-robustness", "ngram-robustness-text", "density", "copy",
                           "key-retrieval", "selective-copy", "induction"}) {
    if (options.wants(fmt::format("generate {}", task))) tasks.emplace_back(task);
  }
  return tasks;
}

/// The tables, with the sizes to time.
std::vector<OpCase> operations(const Options& options) {
  std::vector<OpCase> cases = op_cases();
  for (OpCase& c : cases) {
    std::erase_if(c.bench, [&](const Sizes& sizes) {
      return !options.wants(fmt::format("{} {}", c.name, sizes_text(c, sizes)));
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

void measure_training(const std::vector<TrainingLine>& runs, const Options& options,
                      const Context& context, JsonLines& json) {
  if (runs.empty()) return;
  std::size_t width = 0;
  for (const TrainingLine& run : runs) {
    width = std::max(width, run.name.size());
  }
  const Effort effort =
      options.quick ? Effort{.seconds = 0, .least_runs = 1} : Effort{.seconds = 3, .least_runs = 5};
  print("\n" + training_columns(width));
  for (const TrainingLine& run : runs) {
    const TrainingTimes times = time_training(run.model, run.preset, effort);
    print(training_row(context, width, run.name, times));
    json.append(training_json(context, run.name, times));
  }
}

void measure_generation(const std::vector<std::string>& tasks, const Options& options,
                        const Context& context, JsonLines& json) {
  if (tasks.empty()) return;
  constexpr std::size_t kWidth = 30;
  const Effort effort = options.quick ? Effort{.seconds = 0, .least_runs = 1} : Effort{};
  print("\n" + generation_columns(kWidth));
  for (const std::string& task : tasks) {
    const GenerationTimes times = time_generation(task, effort);
    const std::string name = fmt::format("generate {}", task);
    print(generation_row(kWidth, name, times));
    json.append(generation_json(context, name, times));
  }
}

constexpr const char* kTokenization = "tokenize the wiki corpus, GPT-NeoX";

void measure_tokenization(const std::filesystem::path& data, const Options& options,
                          const Context& context, JsonLines& json) {
  const Effort effort = options.quick ? Effort{.seconds = 0, .least_runs = 1} : Effort{};
  const std::size_t width = std::string_view(kTokenization).size();
  print("\n" + tokenization_columns(width));
  const TokenizationTimes times = time_tokenization(data, effort);
  print(tokenization_row(width, kTokenization, times));
  json.append(tokenization_json(context, kTokenization, times));
}

void run_on_cpu(const Options& options, const std::string& command) {
  const std::vector<OpCase> cases = operations(options);
  const std::vector<TrainingLine> runs = training_lines(options);
  const std::vector<std::string> tasks = generation_lines(options);
  const auto text = options.wants(kTokenization) ? tokenization_data() : std::nullopt;
  require(!cases.empty() || !runs.empty() || !tasks.empty() || text, ExitCode::usage,
          "--only: no line has '{}' in its name or sizes; without it all are measured",
          options.only);
  JsonLines json(options.json);
  const Effort effort = options.quick ? Effort{.seconds = 0, .least_runs = 2} : Effort{};
  const Context context{
      .provenance = {.machine = this_machine(), .command = command, .note = options.note},
      .ceilings = measure_ceilings(effort)};
  print(heading(context));
  json.append(ceilings_json(context));
  measure_operations(cases, options, context, json);
  measure_training(runs, options, context, json);
  measure_generation(tasks, options, context, json);
  if (text) measure_tokenization(*text, options, context, json);
}

void run(const Options& options, const std::string& command) {
  if (options.threads > 0) set_threads(options.threads);
  if (selected_device(options) == Device::cuda) {
    run_on_gpu(options, command);
  } else {
    run_on_cpu(options, command);
  }
}

int run_program(const std::vector<std::string_view>& words) {
  try {
    const Options options = parse_options({words.begin() + 1, words.end()});
    if (options.help) {
      print(std::string(usage()));
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
