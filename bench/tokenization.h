// How fast one core turns text into tokens.
#pragma once

#include <filesystem>
#include <optional>

#include "bench/measurement.h"

namespace farsight::bench {

struct TokenizationTimes {
  double mb_per_s = 0;  ///< 10^6 bytes of text a second of the thread's processor time
  double bytes = 0, tokens = 0, documents = 0;
  std::size_t runs = 0;
  double others = 0;  ///< processors that other programs used meanwhile
};

/// Where the corpus and the tokenizer of the data directory (FARSIGHT_DATA) are; empty when they are
/// not there.
std::optional<std::filesystem::path> tokenization_data();

/// Every document of the wiki corpus by itself, on one thread, by a tokenizer that has seen no text
/// before: a corpus is tokenised once.
TokenizationTimes time_tokenization(const std::filesystem::path& data, const Effort& effort);

}  // namespace farsight::bench
