// The benchmark's run on a GPU.
#pragma once

#include <string>

#include "bench/options.h"

namespace farsight::bench {

/// Measures what the options ask for on the GPU that is selected, and prints it. Throws Error(usage)
/// when they ask for nothing.
void run_on_gpu(const Options& options, const std::string& command);

}  // namespace farsight::bench
