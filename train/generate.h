// The `generate` and `info` verbs.
#pragma once

#include <string>

#include "core/json.h"
#include "models/model.h"
#include "train/command_line.h"

namespace farsight {

/// Feeds the prompt (given ids, or a test example of a task) and then one token at a time, greedily or
/// by temperature. Text: the prompt, the continuation, and tokens a second.
/// Throws Error(data) for an id outside the vocabulary.
std::string generate_text(const Model& model, const Settings& settings,
                          const GenerateOptions& options);

/// The next token: the most likely at temperature 0, else drawn with probability softmax(l / t).
std::int32_t sample_token(const Tensor& logits, double temperature, std::uint64_t seed,
                          std::uint64_t index);

/// Every parameter with its shape and count, and the total.
std::string model_table(const Settings& settings, const Model& model);
Json model_json(const Settings& settings, const Model& model);

}  // namespace farsight
