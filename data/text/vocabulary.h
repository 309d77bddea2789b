// The tokens and the merges of a tokenizer.json, checked one by one: tokenizer_file.cpp's larger half.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/json.h"
#include "data/text/tokenizer_file.h"

namespace farsight {

/// Everything throws Error(corrupt) with the file's byte.
class Vocabulary {
 public:
  /// `vocab`: the model's object of names and ids. `added`: the file's array, may be null. Both must
  /// outlive this.
  Vocabulary(const Json& vocab, const Json* added);

  /// In the order of the file; with NFC or without.
  std::vector<TokenizerFile::AddedToken> read_added(bool nfc);
  /// The bytes of every token, by id, when the added ones have been read.
  std::vector<std::string> read_tokens();
  /// The token of every byte that a valid text can have; kNoToken for the others it lacks.
  std::array<std::int32_t, 256> byte_tokens() const;
  std::vector<TokenizerFile::Merge> read_merges(const Json& list) const;

 private:
  TokenizerFile::AddedToken read_added_token(const Json& entry);
  std::optional<std::int32_t> id_of(std::string_view name) const;
  std::int32_t id_in(const Json& value) const;
  void use(const Json& at, std::int32_t id);

  const Json& vocab_;
  const Json* added_;
  std::unordered_map<std::string_view, std::int32_t> names_;  // as written: in the byte alphabet
  std::vector<std::string> tokens_;                           // empty: not read yet
  std::vector<bool> used_;
};

}  // namespace farsight
