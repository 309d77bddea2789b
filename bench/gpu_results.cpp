#include "bench/gpu_results.h"

#include <fmt/format.h>

#include "core/arena.h"
#include "core/version.h"

namespace farsight::bench {
namespace {

constexpr double kPeakTflopPerS =
    989.4;  // dense bf16 of H100 and H200 (SXM), by NVIDIA's data sheet

double percent(double part, double whole) {
  return whole > 0 ? 100 * part / whole : 0;
}

std::string columns(std::string_view name, std::size_t width,
                    std::initializer_list<std::string> numbers) {
  std::string text = fmt::format("{:<{}}", name, width);
  for (const std::string& number : numbers) {
    text += fmt::format("  {:>9}", number);
  }
  return text + "\n";
}

/// Name and sizes in one.
std::string name_column(const NameWidths& widths, std::string_view name, std::string_view sizes) {
  return fmt::format("{:<{}}  {:<{}}", name, widths.name, sizes, widths.sizes);
}

void add_pass(Json& line, const std::string& pass, double ms, const Floor& floor) {
  const bool there = ms > 0;
  line[pass + "_ms"] = there ? Json(ms) : Json();
  line[pass + "_floor_ms"] = there ? Json(floor.ms) : Json();
  line[pass + "_limit"] = there ? Json(floor.limit) : Json();
  line[pass + "_percent_of_floor"] = there ? Json(percent(floor.ms, ms)) : Json();
}

}  // namespace

std::string gpu_heading(const GpuContext& context) {
  return fmt::format(
      "farsight_bench {}\n{}\n"
      "ceilings: copy {:.0f} GB/s (read + written), bf16 product {:.0f} TFLOP/s\n",
      version_line(), context.provenance.machine.device, context.ceilings.copy_gb_per_s,
      context.ceilings.gemm_tflop_per_s);
}

Json gpu_ceilings_json(const GpuContext& context) {
  Json line = line_of(context.provenance, "ceilings");
  line["dtype"] = "bf16";
  line["gb_per_s"] = context.ceilings.copy_gb_per_s;
  line["tflop_per_s"] = context.ceilings.gemm_tflop_per_s;
  line["exps_per_s"] = context.ceilings.exps_per_s;
  line["instructions_per_s"] = context.ceilings.instructions_per_s;
  return line;
}

std::string gpu_operation_columns(const NameWidths& widths) {
  const std::string name = name_column(widths, "operation", "sizes");
  return columns(
      name, name.size(),
      {"fwd ms", "floor ms", "% floor", "limit", "bwd ms", "floor ms", "% floor", "limit"});
}

std::string gpu_operation_row(const GpuContext& context, const NameWidths& widths,
                              const GpuLine& line, const GpuTimes& times) {
  const std::string name = name_column(widths, line.name, sizes_text(line));
  const Floor forward = floor_of(line.work.forward, context.ceilings);
  const Floor backward = floor_of(line.work.backward, context.ceilings);
  if (times.backward_ms <= 0) {
    return columns(name, name.size(),
                   {milliseconds(times.forward_ms), milliseconds(forward.ms),
                    cell(percent(forward.ms, times.forward_ms), 0), forward.limit});
  }
  return columns(name, name.size(),
                 {milliseconds(times.forward_ms), milliseconds(forward.ms),
                  cell(percent(forward.ms, times.forward_ms), 0), forward.limit,
                  milliseconds(times.backward_ms), milliseconds(backward.ms),
                  cell(percent(backward.ms, times.backward_ms), 0), backward.limit});
}

Json gpu_operation_json(const GpuContext& context, const GpuLine& line, const GpuTimes& times) {
  Json json = line_of(context.provenance, line.name);
  Json sizes = Json::object();
  for (const auto& [name, size] : line.sizes) {
    sizes[name] = size;
  }
  json["sizes"] = sizes;
  json["dtype"] = "bf16";
  json["runs"] = times.runs;
  add_pass(json, "forward", times.forward_ms, floor_of(line.work.forward, context.ceilings));
  add_pass(json, "backward", times.backward_ms, floor_of(line.work.backward, context.ceilings));
  return json;
}

std::string gpu_training_columns(std::size_t name_width) {
  return columns("training step", name_width,
                 {"tokens", "at once", "labels", "step ms", "tokens/s", "TFLOP/s", "% of peak",
                  "wall ms", "batch ms", "memory"});
}

std::string gpu_training_row(std::size_t name_width, const std::string& name,
                             const GpuTrainingTimes& times) {
  return columns(
      name, name_width,
      {fmt::format("{}", times.tokens), fmt::format("{}", times.micro_tokens),
       fmt::format("{}", times.labels), fmt::format("{:.2f}", times.step_ms),
       fmt::format("{:.0f}", times.tokens_per_s), fmt::format("{:.1f}", times.tflop_per_s),
       fmt::format("{:.1f}", percent(times.tflop_per_s, kPeakTflopPerS)),
       fmt::format("{:.2f}", times.wall_ms), cell(times.batch_ms, 2),
       human_bytes(times.peak_bytes)});
}

Json gpu_training_json(const GpuContext& context, const std::string& name,
                       const GpuTrainingTimes& times) {
  Json json = line_of(context.provenance, name);
  json["sizes"] = Json::object(
      {{"tokens", times.tokens}, {"labels", times.labels}, {"micro_tokens", times.micro_tokens}});
  json["dtype"] = "bf16";
  json["runs"] = times.runs;
  json["step_ms"] = times.step_ms;
  json["wall_ms"] = times.wall_ms;
  json["batch_ms"] = times.batch_ms;
  json["tokens_per_s"] = times.tokens_per_s;
  json["tflop_per_s"] = times.tflop_per_s;
  json["percent_of_peak"] = percent(times.tflop_per_s, kPeakTflopPerS);
  json["percent_of_product"] = percent(times.tflop_per_s, context.ceilings.gemm_tflop_per_s);
  json["peak_memory_bytes"] = times.peak_bytes;
  return json;
}

}  // namespace farsight::bench
