// The command line of farsight_bench.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/arena.h"

namespace farsight::bench {

struct Options {
  std::string only, json, note;
  std::string device = "auto";  ///< auto, cpu, cuda
  bool quick = false;
  bool help = false, version = false;
  int threads = 0;  ///< 0: as many as there are

  /// Whether a line of this name and these sizes is asked for.
  bool wants(std::string_view line) const { return line.find(only) != std::string_view::npos; }
};

std::string_view usage();
/// Throws Error(usage).
Options parse_options(const std::vector<std::string_view>& words);

/// `auto` takes a GPU when this build and this machine have one; a GPU is selected. Throws
/// Error(device) when cuda is asked for and is not there.
Device selected_device(const Options& options);

}  // namespace farsight::bench
