// FARSIGHT_JOB, by which `farsight launch` tells its ranks from others: the launch, and which of its
// attempts (--max-restarts) this is.
#pragma once

#include <string>

namespace farsight {

/// "launch 4711 5a0c..., restart 2": ranks of one attempt do not meet those of another.
std::string job_of_attempt(const std::string& launch, int attempt);

/// The launch that started this process, the same in all its attempts; empty: none did.
std::string launch_of_process();

/// Whether `farsight launch` started this process as another rank than the first. What is wrong with
/// words that all ranks were given, rank 0 says.
bool is_later_rank_of_launch();

}  // namespace farsight
