// Byte-level BPE: text to token ids and back, with the ids of Hugging Face tokenizers.
//
//   const Tokenizer tokenizer = Tokenizer::load("20B_tokenizer.json");
//   tokenizer.encode("Hello world");         // {12092, 1533}
//   tokenizer.decode({{12092, 1533}});       // "Hello world"
//
// A text becomes ids in this order: the special added tokens are split out of the raw text; each piece
// between them is brought to NFC; the other added tokens (of GPT-NeoX: runs of 2 to 24 spaces) are
// split out, leftmost and longest first; what is left is split by GPT-2's expression
//   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// and in each of its matches the pair of neighbours that comes first in the list of merges is joined,
// the leftmost first, until none is left (Sennrich et al. 2016; openai/gpt-2, src/encoder.py).
//
// Text that is not UTF-8 has no ids: encode() refuses it and names the byte, from 1; whoever wants U+FFFD in
// its place calls replace_invalid_utf8() (core/utf8.h) before.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace farsight {

struct TokenizerFile;

/// Copies share what they know; every const member may be called by any number of threads.
class Tokenizer {
 public:
  /// Throws Error(storage) for a file that cannot be read, Error(corrupt) for one that contradicts
  /// itself, Error(data) for a kind of tokenizer that is not known here.
  static Tokenizer load(const std::filesystem::path& tokenizer_json);
  explicit Tokenizer(TokenizerFile file);

  /// The ids of a text, without any token for its beginning or end. Throws Error(data) when it is
  /// not valid UTF-8 or longer than 2^31 - 1 bytes. Takes time O(n log n) for any text.
  std::vector<std::int32_t> encode(std::string_view utf8) const;
  void encode(std::string_view utf8, std::vector<std::int32_t>& append_to) const;
  /// The same of a text that is known to be valid UTF-8.
  void encode_valid(std::string_view utf8, std::vector<std::int32_t>& append_to) const;
  /// Each document by itself, on all threads.
  std::vector<std::vector<std::int32_t>> encode_documents(
      std::span<const std::string_view> documents) const;

  /// The bytes of the tokens one after another; those of added tokens too. A token may end within a
  /// character: what is shown as it comes goes through a TokenStream. decode(encode(text)) is the
  /// text, in NFC where the tokenizer normalises. Throws Error(data) for an id that does not exist.
  std::string decode(std::span<const std::int32_t> ids) const;
  /// The bytes of one token.
  std::string_view bytes_of(std::int32_t id) const;

  /// Ids are 0 ... size() - 1, added tokens included: 50,277 for GPT-NeoX.
  std::int64_t size() const;
  /// The token with exactly these bytes: "<|endoftext|>" -> 0.
  std::optional<std::int32_t> id_of(std::string_view token) const;
  /// Is it an added token that the file calls special, <|endoftext|> say?
  bool is_special(std::int32_t id) const;
  /// XXH3 of all that decides ids, 16 hexadecimal digits: equal ones give equal ids.
  std::string fingerprint() const;

 private:
  struct Model;
  std::shared_ptr<const Model> model_;
};

/// Decodes one token after another into text that is whole characters at every moment: what a
/// character still lacks is kept back until it comes.
class TokenStream {
 public:
  explicit TokenStream(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

  /// The text that this token completes, perhaps none. Bytes that can be no character any more
  /// come as U+FFFD.
  std::string push(std::int32_t id);
  /// What was kept back, as U+FFFD: the tokens end within a character.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  std::string kept_;  // the beginning of a character: at most three bytes
};

}  // namespace farsight
