#include "bench/results.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/check.h"
#include "core/version.h"

namespace farsight::bench {
namespace {

/// Rates of an operation, forward and backward together; 0 where its table has no count.
struct Rates {
  double gb_per_s = 0, gflop_per_s = 0;
};

Rates rates_of(const OpCase& operation, const Sizes& sizes, const OperationTimes& times) {
  const double seconds = (times.forward_ms + times.backward_ms) / 1e3;
  Rates rates;
  if (operation.bytes) {
    rates.gb_per_s = operation.bytes(sizes, size_of(DType::f32)) / seconds / 1e9;
  }
  if (operation.flops) rates.gflop_per_s = operation.flops(sizes) / seconds / 1e9;
  return rates;
}

double percent(double part, double whole) {
  return 100 * part / whole;
}

std::string row(const NameWidths& widths, std::string_view name, std::string_view sizes,
                std::initializer_list<std::string> numbers) {
  std::string text = fmt::format("{:<{}}  {:<{}}", name, widths.name, sizes, widths.sizes);
  for (const std::string& number : numbers) {
    text += fmt::format("  {:>11}", number);
  }
  return text + "\n";
}

std::string training_line(std::size_t name_width, std::string_view name,
                          std::initializer_list<std::string> numbers) {
  std::string text = fmt::format("{:<{}}", name, name_width);
  for (const std::string& number : numbers) {
    text += fmt::format("  {:>11}", number);
  }
  return text + "\n";
}

/// A rate and its share of a ceiling; null where nothing was counted.
void add_rate(Json& line, const std::string& name, double rate, const std::string& of,
              double ceiling) {
  line[name] = rate > 0 ? Json(rate) : Json();
  line["percent_of_" + of] = rate > 0 ? Json(percent(rate, ceiling)) : Json();
}

}  // namespace

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

JsonLines::JsonLines(const std::string& path) : path_(path) {
  if (path.empty()) return;
  file_.open(path, std::ios::binary | std::ios::app);
  require(file_.is_open(), ExitCode::storage, "--json: cannot write to '{}'", path);
}

void JsonLines::append(const Json& line) {
  if (path_.empty()) return;
  file_ << line.dump() << '\n' << std::flush;
  require(file_.good(), ExitCode::storage, "--json: writing to '{}' failed", path_);
}

Json line_of(const Provenance& provenance, std::string_view name) {
  const BuildInfo& build = build_info();
  Json line = Json::object({{"date", provenance.machine.date},
                            {"device", provenance.machine.device},
                            {"threads", provenance.machine.threads},
                            {"program", fmt::format("farsight {}", build.version)},
                            {"commit", build.commit},
                            {"build", fmt::format("{}, {}", build.build_type, build.cpu_level)},
                            {"blas", provenance.machine.blas},
                            {"command", provenance.command}});
  if (!provenance.note.empty()) line["note"] = provenance.note;
  line["name"] = name;
  return line;
}

std::string cell(double value, int decimals) {
  return value > 0 ? fmt::format("{:.{}f}", value, decimals) : "-";
}

std::string milliseconds(double value) {
  return fmt::format("{:.{}f}", value, value < 1 ? 4 : value < 100 ? 2 : 0);
}

std::string heading(const Context& context) {
  const Machine& machine = context.provenance.machine;
  return fmt::format(
      "farsight_bench {}\n{}, {} {}, {}\n"
      "ceilings: copy {:.1f} GB/s (read + written), sgemm {:.1f} GFLOP/s\n",
      version_line(), machine.device, machine.threads, machine.threads == 1 ? "thread" : "threads",
      machine.blas, context.ceilings.copy_gb_per_s, context.ceilings.sgemm_gflop_per_s);
}

Json ceilings_json(const Context& context) {
  Json line = line_of(context.provenance, "ceilings");
  line["others"] = context.ceilings.others;
  line["gb_per_s"] = context.ceilings.copy_gb_per_s;
  line["gflop_per_s"] = context.ceilings.sgemm_gflop_per_s;
  return line;
}

std::string sizes_text(const OpCase& operation, const Sizes& sizes) {
  std::string text;
  for (std::size_t i = 0; i < sizes.size(); i++) {
    text += fmt::format("{}{}={}", i == 0 ? "" : " ", operation.size_names[i], sizes[i]);
  }
  return text;
}

std::string operation_columns(const NameWidths& widths) {
  return row(widths, "operation", "sizes",
             {"forward ms", "backward ms", "GB/s", "% of copy", "GFLOP/s", "% of sgemm", "others"});
}

std::string operation_row(const Context& context, const NameWidths& widths, const OpCase& operation,
                          const Sizes& sizes, const OperationTimes& times) {
  const Rates rates = rates_of(operation, sizes, times);
  return row(
      widths, operation.name, sizes_text(operation, sizes),
      {milliseconds(times.forward_ms), milliseconds(times.backward_ms), cell(rates.gb_per_s, 1),
       cell(percent(rates.gb_per_s, context.ceilings.copy_gb_per_s), 0), cell(rates.gflop_per_s, 1),
       cell(percent(rates.gflop_per_s, context.ceilings.sgemm_gflop_per_s), 0),
       fmt::format("{:.1f}", times.others)});
}

Json operation_json(const Context& context, const OpCase& operation, const Sizes& sizes,
                    const OperationTimes& times) {
  const Rates rates = rates_of(operation, sizes, times);
  Json line = line_of(context.provenance, operation.name);
  Json named = Json::object();
  for (std::size_t i = 0; i < sizes.size(); i++) {
    named[operation.size_names[i]] = sizes[i];
  }
  line["sizes"] = named;
  line["dtype"] = "f32";
  line["runs"] = times.runs;
  line["others"] = times.others;
  line["forward_ms"] = times.forward_ms;
  line["backward_ms"] = times.backward_ms;
  add_rate(line, "gb_per_s", rates.gb_per_s, "copy", context.ceilings.copy_gb_per_s);
  add_rate(line, "gflop_per_s", rates.gflop_per_s, "sgemm", context.ceilings.sgemm_gflop_per_s);
  return line;
}

std::string training_columns(std::size_t name_width) {
  return training_line(
      name_width, "training step",
      {"examples", "tokens", "step ms", "tokens/s", "GFLOP/s", "% of sgemm", "others"});
}

std::string training_row(const Context& context, std::size_t name_width, const std::string& name,
                         const TrainingTimes& times) {
  return training_line(name_width, name,
                       {fmt::format("{}", times.batch_size), fmt::format("{:.0f}", times.tokens),
                        milliseconds(times.step_ms), fmt::format("{:.0f}", times.tokens_per_s),
                        cell(times.gflop_per_s, 1),
                        cell(percent(times.gflop_per_s, context.ceilings.sgemm_gflop_per_s), 0),
                        fmt::format("{:.1f}", times.others)});
}

Json training_json(const Context& context, const std::string& name, const TrainingTimes& times) {
  Json line = line_of(context.provenance, name);
  line["sizes"] = Json::object({{"examples", times.batch_size}, {"tokens", times.tokens}});
  line["dtype"] = "f32";
  line["runs"] = times.runs;
  line["others"] = times.others;
  line["step_ms"] = times.step_ms;
  line["tokens_per_s"] = times.tokens_per_s;
  add_rate(line, "gflop_per_s", times.gflop_per_s, "sgemm", context.ceilings.sgemm_gflop_per_s);
  return line;
}

std::string generation_columns(std::size_t name_width) {
  return training_line(name_width, "examples on one core", {"tokens", "Mtokens/s", "others"});
}

std::string generation_row(std::size_t name_width, const std::string& name,
                           const GenerationTimes& times) {
  return training_line(name_width, name,
                       {fmt::format("{:.0f}", times.tokens), cell(times.tokens_per_s / 1e6, 1),
                        fmt::format("{:.1f}", times.others)});
}

Json generation_json(const Context& context, const std::string& name,
                     const GenerationTimes& times) {
  Json line = line_of(context.provenance, name);
  line["sizes"] = Json::object({{"tokens", times.tokens}});
  line["threads"] = 1;
  line["runs"] = times.runs;
  line["others"] = times.others;
  line["tokens_per_s"] = times.tokens_per_s;
  return line;
}

std::string tokenization_columns(std::size_t name_width) {
  return training_line(name_width, "text on one core", {"MB", "tokens", "MB/s", "others"});
}

std::string tokenization_row(std::size_t name_width, const std::string& name,
                             const TokenizationTimes& times) {
  return training_line(
      name_width, name,
      {fmt::format("{:.1f}", times.bytes / 1e6), fmt::format("{:.0f}", times.tokens),
       cell(times.mb_per_s, 1), fmt::format("{:.1f}", times.others)});
}

Json tokenization_json(const Context& context, const std::string& name,
                       const TokenizationTimes& times) {
  Json line = line_of(context.provenance, name);
  line["sizes"] = Json::object(
      {{"bytes", times.bytes}, {"tokens", times.tokens}, {"documents", times.documents}});
  line["threads"] = 1;
  line["runs"] = times.runs;
  line["others"] = times.others;
  line["mb_per_s"] = times.mb_per_s;
  return line;
}

}  // namespace farsight::bench
