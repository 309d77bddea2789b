// Language tasks as tests of a reproduction: Table 4.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "train/settings.h"

namespace farsight {

/// Of these tasks, those whose files are in the data folder of the settings.
std::vector<std::string> language_tests_there(const Settings& settings,
                                              const std::vector<std::string>& tests);

/// What Table 4 has of a task, from the results that `eval --task ... --json` prints: wikitext's word
/// perplexity, hellaswag's acc_norm, any other's acc, both in percent. Nothing where it is not there.
std::optional<double> language_score(const Json& results, std::string_view task);

}  // namespace farsight
