// Text continued by a language model, shown as it comes.
#pragma once

#include <functional>
#include <string_view>

#include "models/model.h"
#include "train/command_line.h"

namespace farsight {

/// Continues options.text, with the tokenizer of the run or of the settings. `write` gets the text:
/// the prompt, then every token's as soon as its characters are whole. Several samples come one after
/// the other, made in one batch. `note` gets a line about tokens a second at the end.
///
/// The token <|endoftext|> ends a text, unless options.past_end; a prompt without text begins behind
/// one. Throws Error(data) for a prompt that is not UTF-8, a tokenizer that is not the run's or has
/// ids that the model has not, and where the model ends before the text does (Model::max_length).
void generate_text_from(const Model& model, const Settings& settings,
                        const GenerateOptions& options,
                        const std::function<void(std::string_view)>& write,
                        const std::function<void(std::string_view)>& note);

}  // namespace farsight
