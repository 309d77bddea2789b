// farsight: the program beside the models' own, for what concerns no single model or many.
#pragma once

#include <string>
#include <vector>

namespace farsight {

/// Runs the verb that the words begin with and returns the exit code; errors go to stderr.
int run_farsight(const std::vector<std::string>& words);

}  // namespace farsight
