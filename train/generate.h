// The `generate` and `info` verbs.
#pragma once

#include <string>

#include "core/json.h"
#include "models/model.h"
#include "train/command_line.h"

namespace farsight {

/// Feeds the prompts (given ids, or a test example of a task), each once for every sample, and then one
/// token at a time to all of them. Text: prompts, continuations, and tokens a second.
/// Throws Error(data) for an id outside the vocabulary.
std::string generate_text(const Model& model, const Settings& settings,
                          const GenerateOptions& options);

/// Every parameter with its shape and count, and the total.
std::string model_table(const Settings& settings, const Model& model);
Json model_json(const Settings& settings, const Model& model);

}  // namespace farsight
