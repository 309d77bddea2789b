// Times of operations on the GPU.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "bench/gpu_timer.h"
#include "bench/work.h"
#include "tests/op_cases/op_case.h"

namespace farsight::bench {

/// What one line times. All of it only queues work; forward and backward are timed apart.
struct GpuWork {
  std::function<void()> prepare = {};
  std::function<void()> forward = {};
  std::function<void()> backward = {};  ///< may be empty
};

/// An operation in bf16 at `sizes`, recorded on a tape as in training: with what it keeps for the
/// backward, which goes through the tape from random cotangents. `wanted` names the inputs that get
/// a gradient; empty: all.
GpuWork operation_work(const OpCase& operation, const Sizes& sizes,
                       const std::vector<std::string_view>& wanted, RandomTensors& random);

GpuWork gradient_norm_gpu_work(std::int64_t parameters, RandomTensors& random);
GpuWork adamw_gpu_work(std::int64_t parameters, RandomTensors& random);

struct GpuTimes {
  double forward_ms = 0, backward_ms = 0;  ///< medians; backward 0: there is none
  int runs = 0;
};
GpuTimes time_on_gpu(const GpuWork& work, const GpuTimer& timer, int runs);

}  // namespace farsight::bench
