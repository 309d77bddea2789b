// The results of a run on a GPU as a table for people and as JSON lines for programs.
#pragma once

#include <string>

#include "bench/gpu_lines.h"
#include "bench/gpu_training.h"
#include "bench/results.h"

namespace farsight::bench {

struct GpuContext {
  Provenance provenance;
  GpuCeilings ceilings;
};

std::string gpu_heading(const GpuContext& context);
Json gpu_ceilings_json(const GpuContext& context);

std::string gpu_operation_columns(const NameWidths& widths);
std::string gpu_operation_row(const GpuContext& context, const NameWidths& widths,
                              const GpuLine& line, const GpuTimes& times);
Json gpu_operation_json(const GpuContext& context, const GpuLine& line, const GpuTimes& times);

std::string gpu_training_columns(std::size_t name_width);
std::string gpu_training_row(std::size_t name_width, const std::string& name,
                             const GpuTrainingTimes& times);
Json gpu_training_json(const GpuContext& context, const std::string& name,
                       const GpuTrainingTimes& times);

}  // namespace farsight::bench
