// The data that language modelling is tested with, where this machine has it.
#pragma once

#include <cstdlib>
#include <filesystem>

#include "data/text/tokenizer.h"

namespace farsight {

/// FARSIGHT_DATA, if `file` is in it; else empty.
inline std::filesystem::path data_with(const std::filesystem::path& file) {
  const char* folder = std::getenv("FARSIGHT_DATA");
  if (folder == nullptr || !std::filesystem::exists(folder / file)) return {};
  return folder;
}

inline constexpr const char* kNoLanguageData =
    "FARSIGHT_DATA does not lead to the data sets (docs/language-evaluation.md)";

inline const Tokenizer& neox_tokenizer(const std::filesystem::path& data) {
  static const Tokenizer tokenizer = Tokenizer::load(data / "tokenizer/20B_tokenizer.json");
  return tokenizer;
}

}  // namespace farsight
