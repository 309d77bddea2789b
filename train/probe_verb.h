// farsight probe matrix|layers --run RUN --task NAME --cell LxKV
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "eval/probes/probe_cell.h"
#include "train/settings.h"

namespace farsight {

inline constexpr const char* kProbeHelp =
    "what the layers of a trained run mix tokens by: matrices, and quantities read off them";

/// `words`: those after the verb. Returns the exit code.
int run_probe_verb(std::span<const std::string> words);

/// A cell as it is written, "64x8", of the task; where its grid has no such cell, the task becomes
/// that of this cell alone. Throws Error(usage) for what is no cell.
struct ProbedCell {
  MqarTask task;
  std::size_t cell = 0;
};
ProbedCell probed_cell(const Settings& settings, const std::string& task, const std::string& cell);

/// "all" (empty), "5", "0,7,23": ascending. Throws Error(usage).
std::vector<std::int64_t> layers_named(const std::string& text);

}  // namespace farsight
