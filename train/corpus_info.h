// What `farsight corpus` prints about a tokenised corpus.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "data/corpus/token_shards.h"

namespace farsight {

/// Its folder, counts, packing, how many blocks of `length` tokens there are, and where it came from.
std::string corpus_info(const std::filesystem::path& folder, const TokenShards& corpus,
                        std::int64_t length);

}  // namespace farsight
