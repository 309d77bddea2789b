// One token after another, sampled from a model's logits.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "models/model.h"
#include "train/command_line.h"

namespace farsight {

/// Feeds the prompts, all of one length, each options.samples times side by side, and then at most
/// options.tokens tokens to every row. `made` gets the newest of all rows, by prompt and within it by
/// sample, and says whether to go on. Returns the seconds that the tokens took, the prompts apart.
double continue_prompts(const Model& model, const std::vector<std::vector<std::int32_t>>& prompts,
                        const GenerateOptions& options,
                        const std::function<bool(std::span<const std::int32_t> newest)>& made);

}  // namespace farsight
