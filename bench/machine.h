// What the numbers were measured on, and the two rates they are compared with.
#pragma once

#include <string>

#include "bench/measurement.h"

namespace farsight::bench {

struct Machine {
  std::string date;    ///< UTC, "2026-11-21T14:03:00Z"
  std::string device;  ///< "Intel(R) Xeon(R) Processor, 2 processors"
  int threads = 0;
  std::string blas;  ///< "OpenBLAS 0.3.21, SkylakeX kernels"
  double load = 0;   ///< 1-minute load average when the run began: what others were doing
};
Machine this_machine();

/// Rates of this machine with all threads(), measured now.
struct Ceilings {
  double copy_gb_per_s = 0;      ///< read and written bytes of memcpy between two large arrays
  double sgemm_gflop_per_s = 0;  ///< 2048 x 2048 x 2048, by ops/gemm.h
};
Ceilings measure_ceilings(const Effort& effort);

}  // namespace farsight::bench
