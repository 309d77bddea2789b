// What the headers of llm.c's token files say (data/corpus/token_bin.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace farsight {

struct LlmcVariant {
  std::int32_t magic, version;
  int token_bytes;
};
/// "gpt-2" and "llama-3" of its dev/data/data_common.py.
inline constexpr std::array<LlmcVariant, 2> kLlmcVariants = {{{20240520, 1, 2}, {20240801, 7, 4}}};
inline constexpr std::size_t kLlmcHeaderBytes = 256 * 4;

}  // namespace farsight
