// Which tokenizer the options of a verb name, and whether it is the one that a model was trained with.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include "data/text/tokenizer.h"
#include "train/help.h"
#include "train/settings.h"
#include "train/words.h"

namespace farsight {

inline constexpr VerbOption kTokenizerOption = {
    "tokenizer", "FILE",
    "tokenizer.json of Hugging Face tokenizers [tokenizer/20B_tokenizer.json of the data "
    "directory]"};
inline constexpr VerbOption kDataDirOption = {"data-dir", "DIR",
                                              "the data directory [$FARSIGHT_DATA]"};

/// By these two options of a verb without settings. `title` opens messages: "farsight tokenize".
/// Throws as Tokenizer::load and default_file (train/default_file.h).
Tokenizer tokenizer_of(std::string_view title, const Words& words);

/// Where the settings name no tokenizer, with that of the run that `weights` is, or is a checkpoint
/// of: the file that its corpus.json names, if it is still there and still the same.
Settings with_tokenizer_of_run(Settings settings, const std::filesystem::path& weights);

/// Throws Error(data) where this tokenizer, read from `file`, has more ids than a model's `vocabulary`,
/// or is another than the run was trained with that `weights` is, or is a checkpoint of.
void require_tokenizer_fits(const Tokenizer& tokenizer, const std::filesystem::path& file,
                            std::int64_t vocabulary, const std::filesystem::path& weights);

}  // namespace farsight
