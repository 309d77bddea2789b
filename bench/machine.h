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
};
Machine this_machine();

/// How busy other programs, or other guests of the host, kept the processors since this was made:
/// what a time that was taken meanwhile is worth.
class OtherPrograms {
 public:
  OtherPrograms();
  /// In processors: 0.5 is half of one. 0 where the system does not say (/proc/stat).
  double processors() const;

 private:
  double start_, busy_;
};

/// Rates of this machine with all threads(), measured now.
struct Ceilings {
  double copy_gb_per_s = 0;      ///< read and written bytes of memcpy between two large arrays
  double sgemm_gflop_per_s = 0;  ///< 2048 x 2048 x 2048, by ops/gemm.h
  double others = 0;             ///< processors that other programs used meanwhile
};
Ceilings measure_ceilings(const Effort& effort);

}  // namespace farsight::bench
