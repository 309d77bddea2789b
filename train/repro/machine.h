// What runs at the same time, and on what.
#pragma once

#include "core/dtype.h"
#include "train/repro/jobs.h"
#include "train/repro/repro_command.h"

namespace farsight {

struct Machine {
  Device device = Device::cpu;
  Slots slots;
  int threads = 1;  ///< of a run

  /// What every run is told of it; changes no numbers.
  NamedSettings settings() const;
};

/// The program of the model's family, which lies beside this one.
std::string program_of(const Training& training);

/// `runs` at most are to be made. On a CPU every run has a processor of its own, or several where
/// there are fewer runs; on GPUs, which take turns, as many as the level gives each. --jobs wins.
Machine machine_of(const ReproCommand& command, Device device, std::size_t runs);

}  // namespace farsight
