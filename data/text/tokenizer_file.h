// tokenizer.json of Hugging Face tokenizers, of the byte-level BPE kind: GPT-2, GPT-NeoX, Pythia,
// Mamba. Whatever would give other ids than the program the file is meant for is refused by name.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

struct TokenizerFile {
  static constexpr std::size_t kMostTokens = std::size_t{1} << 20;
  static constexpr std::size_t kMostMerges = std::size_t{1} << 21;
  static constexpr std::size_t kMostTokenBytes = 1024;
  static constexpr std::int32_t kNoToken = -1;

  /// `left` and `right` side by side become `result`; the first of a list is merged first.
  struct Merge {
    std::int32_t left = 0, right = 0, result = 0;
    bool operator==(const Merge&) const = default;
  };
  /// A text that is one token wherever it stands.
  struct AddedToken {
    std::string content;
    std::int32_t id = 0;
    bool special = false;
    bool normalized = false;  ///< looked for in the normalised text, else in the raw one
    bool operator==(const AddedToken&) const = default;
  };

  bool nfc = false;                       ///< the text is brought to NFC first
  std::vector<std::string> tokens;        ///< the bytes of every id; of an added token its content
  std::array<std::int32_t, 256> bytes{};  ///< the token of one byte; kNoToken: in no valid UTF-8
  std::vector<Merge> merges;
  std::vector<AddedToken> added;  ///< in the order of the file

  /// Ids are 0 ... tokens.size() - 1, every one used once. Throws Error(storage) for a file that
  /// cannot be read, Error(corrupt) for one that contradicts itself or a limit above, with its byte,
  /// and Error(data) for a kind of tokenizer that is not known here, with what it has.
  static TokenizerFile read(const std::filesystem::path& path);
  static TokenizerFile parse(std::string_view json, std::string_view file);
};

}  // namespace farsight
