#include "bench/gpu.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/gpu_results.h"
#include "core/check.h"
#include "core/device_calls.h"

namespace farsight::bench {
namespace {

constexpr int kRuns = 50, kQuickRuns = 5;
constexpr int kSteps = 20, kQuickSteps = 5;

void measure_operations(const std::vector<GpuLine>& lines, const GpuTimer& timer,
                        RandomTensors& random, const Options& options, const GpuContext& context,
                        JsonLines& json) {
  if (lines.empty()) return;
  NameWidths widths;
  for (const GpuLine& line : lines) {
    widths.name = std::max(widths.name, line.name.size());
    widths.sizes = std::max(widths.sizes, sizes_text(line).size());
  }
  print("\n" + gpu_operation_columns(widths));
  for (const GpuLine& line : lines) {
    const GpuTimes times =
        time_on_gpu(line.make(random), timer, options.quick ? kQuickRuns : kRuns);
    print(gpu_operation_row(context, widths, line, times));
    json.append(gpu_operation_json(context, line, times));
    arena(Device::cuda).release_unused_segments();
  }
}

void measure_training(const std::vector<GpuTrainingLine>& lines, const Options& options,
                      const GpuContext& context, JsonLines& json) {
  if (lines.empty()) return;
  std::size_t width = 0;
  for (const GpuTrainingLine& line : lines) {
    width = std::max(width, line.name().size());
  }
  print("\n" + gpu_training_columns(width));
  for (const GpuTrainingLine& line : lines) {
    try {
      const GpuTrainingTimes times =
          time_training_on_gpu(line, options.quick ? kQuickSteps : kSteps);
      print(gpu_training_row(width, line.name(), times));
      json.append(gpu_training_json(context, line.name(), times));
    } catch (const Error& error) {
      if (error.code() != ExitCode::memory) throw;
      print(fmt::format("{:<{}}  does not fit: {}\n", line.name(), width, error.what()));
    }
  }
}

}  // namespace

void run_on_gpu(const Options& options, const std::string& command) {
  std::vector<GpuLine> operations = gpu_lines();
  std::erase_if(operations, [&](const GpuLine& line) {
    return !options.wants(fmt::format("{} {}", line.name, sizes_text(line)));
  });
  std::vector<GpuTrainingLine> training = gpu_training_lines();
  std::erase_if(training, [&](const GpuTrainingLine& line) { return !options.wants(line.name()); });
  require(!operations.empty() || !training.empty(), ExitCode::usage,
          "--only: no line has '{}' in its name or sizes; without it all are measured",
          options.only);
  JsonLines json(options.json);
  GpuContext context{
      .provenance = {.machine = this_machine(), .command = command, .note = options.note},
      .ceilings = {}};
  context.provenance.machine.device = gpu_name();
  context.provenance.machine.blas = "cuBLASLt";
  {
    const GpuTimer timer;
    RandomTensors random;
    context.ceilings = measure_gpu_ceilings(timer, random, options.quick ? kQuickRuns : kSteps);
    print(gpu_heading(context));
    json.append(gpu_ceilings_json(context));
    measure_operations(operations, timer, random, options, context, json);
  }
  measure_training(training, options, context, json);
}

}  // namespace farsight::bench
