// How times are taken on a GPU: on its own clock, of work that is queued behind other work, with a
// second-level cache that holds nothing of it.
#pragma once

#include <functional>
#include <vector>

#include "bench/work.h"
#include "core/tensor.h"
#include "tests/op_cases/op_case.h"

namespace farsight::bench {

class GpuTimer {
 public:
  GpuTimer();
  /// Milliseconds that the device takes for what `work` queues. Before it, the timer queues a write
  /// that empties the cache and lasts long enough for the host to queue the work behind it: what is
  /// timed is the device, not the launching.
  double ms_of(const std::function<void()>& work) const;

 private:
  Tensor flushed_;
};

/// Random tensors on the GPU: made on the CPU once for each mean and spread, then repeated.
class RandomTensors {
 public:
  /// Different ones at every call. Reals of `dtype` (a parameter: of its accumulator), integers as
  /// the input's `fill` says.
  Tensor make(const OpInput& input, DType dtype);
  Tensor normal(const Shape& shape, DType dtype, double mean = 0, double spread = 1);

 private:
  struct Pool {
    double mean = 0, spread = 0;
    Tensor f32, bf16;
  };
  const Pool& pool_of(double mean, double spread);

  Tensor source_;  ///< standard normal, on the CPU
  std::vector<Pool> pools_;
  std::int64_t next_ = 0;  ///< where in a pool the next tensor begins
};

GpuCeilings measure_gpu_ceilings(const GpuTimer& timer, RandomTensors& random, int runs);

}  // namespace farsight::bench
