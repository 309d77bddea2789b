// `farsight launch`: starts the ranks of one host, and ends them together.
//
//   farsight launch --nproc 4 -- mamba train --model mamba --device cpu
//   farsight launch --gpus 8 --max-restarts 3 -- mamba train --preset full --out runs/full
//
// Every rank finds its place in torchrun's variables. Rank 0 writes to this terminal; what another
// says has "[rank 3] " before it. SIGINT, SIGTERM and SIGUSR1 go to all ranks. When one ends badly
// the others, who notice by themselves, get a moment and are then ended. The exit code is that of the
// rank that failed first, other than for having lost another; 8 when a signal ended it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

inline constexpr std::string_view kLaunchHelp =
    "trains in several processes of this machine: --nproc N -- mamba train ...";

struct LaunchSpec {
  std::vector<std::string> words;  ///< the program and its words
  int nproc = 1;
  int max_restarts = 0;  ///< after a rank was lost; training goes on from the last checkpoint
  double grace_seconds = 10;
};

/// Returns the exit code.
int launch(const LaunchSpec& spec);

int run_launch(std::span<const std::string> words);

}  // namespace farsight
