// Texts that are one token wherever they stand: <|endoftext|>, runs of spaces.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/text/tokenizer_file.h"

namespace farsight {

class AddedTokens {
 public:
  struct Match {
    std::size_t begin = 0, end = 0;
    std::int32_t id = TokenizerFile::kNoToken;  ///< kNoToken: there is none
  };

  AddedTokens() = default;
  /// Those of the file that are looked for in the normalised text, or in the raw one.
  AddedTokens(const TokenizerFile& file, bool normalized);

  /// The first match at `from` or behind it; of those that begin there, the longest.
  Match next(std::string_view text, std::size_t from) const;

 private:
  /// Where all of the tokens might begin, at `from` or behind it; the text's end when nowhere.
  std::size_t find_beginning(std::string_view text, std::size_t from) const;
  Match at(std::string_view text, std::size_t begin) const;

  struct Token {
    std::string pattern;
    std::int32_t id;
  };
  std::vector<Token> tokens_;  // by pattern
  std::string beginning_;      // that all of them have
};

}  // namespace farsight
