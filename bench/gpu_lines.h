// What is timed on the GPU: the operations of Mamba-130M (d_model 768, d_inner 1536) at 65,536
// tokens a step, cut into sequences of several lengths, each with the work it has to do at the least.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "bench/gpu_operations.h"
#include "bench/work.h"

namespace farsight::bench {

struct GpuLine {
  std::string name;  ///< "selective_scan, z"
  std::vector<std::pair<std::string, std::int64_t>> sizes;
  Works work;
  std::function<GpuWork(RandomTensors&)> make;
};

std::string sizes_text(const GpuLine& line);  ///< "B=256 T=256 D=1536 N=16"

std::vector<GpuLine> gpu_lines();

}  // namespace farsight::bench
