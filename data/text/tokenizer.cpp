#include "data/text/tokenizer.h"

#include <fmt/format.h>

#include <limits>
#include <unordered_map>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/hash.h"
#include "core/parallel.h"
#include "core/utf8.h"
#include "data/text/added_tokens.h"
#include "data/text/byte_pairs.h"
#include "data/text/nfc.h"
#include "data/text/spares.h"
#include "data/text/tokenizer_file.h"
#include "data/text/word_encoder.h"

namespace farsight {
namespace {

constexpr std::size_t kMostTextBytes = std::numeric_limits<std::int32_t>::max();

using Ids = std::vector<std::int32_t>;

/// Everything that decides ids, one number and one text after another.
std::string fingerprint_of(const TokenizerFile& file) {
  Xxh3 hash;
  const auto add = [&](std::string_view text) { hash.update(bytes_of(text)); };
  const auto add_text = [&](std::string_view text) {
    add(fmt::format("{} {}\n", text.size(), text));
  };
  add(fmt::format("nfc {}\ntokens {}\n", file.nfc, file.tokens.size()));
  for (const std::string& token : file.tokens) {
    add_text(token);
  }
  for (const TokenizerFile::Merge& merge : file.merges) {
    add(fmt::format("{} {}\n", merge.left, merge.right));
  }
  for (const TokenizerFile::AddedToken& token : file.added) {
    add(fmt::format("{} {} ", token.id, token.normalized));
  }
  return hex(hash.value());
}

}  // namespace

struct Tokenizer::Model {
  /// What one text at a time needs to be encoded; kept for the next, with the words it has seen.
  struct Room {
    explicit Room(const BytePairs& pairs) : words(pairs) {}
    WordEncoder words;
    std::string normalized;

    void forget_long_text() {
      constexpr std::size_t kKept = std::size_t{1} << 20;
      if (normalized.capacity() > kKept) std::string().swap(normalized);
    }
  };

  explicit Model(TokenizerFile given)
      : file(std::move(given)),
        pairs(file),
        raw_tokens(file, false),
        normalized_tokens(file, true),
        special(file.tokens.size(), false),
        fingerprint(fingerprint_of(file)) {
    for (std::size_t id = 0; id < file.tokens.size(); id++) {
      ids.emplace(file.tokens[id], static_cast<std::int32_t>(id));
    }
    for (const TokenizerFile::AddedToken& token : file.added) {
      ids[token.content] = token.id;
      special[static_cast<std::size_t>(token.id)] = token.special;
    }
  }

  /// Text without special tokens.
  void encode_piece(std::string_view raw, Room& room, Ids& out) const {
    const std::string_view text = file.nfc ? nfc(raw, room.normalized) : raw;
    std::size_t done = 0;
    while (done < text.size()) {
      const AddedTokens::Match match = normalized_tokens.next(text, done);
      const bool found = match.id != TokenizerFile::kNoToken;
      room.words.encode(text.substr(done, found ? match.begin - done : std::string_view::npos),
                        out);
      if (!found) break;
      out.push_back(match.id);
      done = match.end;
    }
  }

  const TokenizerFile file;
  const BytePairs pairs;
  const AddedTokens raw_tokens, normalized_tokens;
  std::unordered_map<std::string_view, std::int32_t> ids;
  std::vector<bool> special;
  const std::string fingerprint;
  mutable Spares<Room> rooms;
};

Tokenizer Tokenizer::load(const std::filesystem::path& tokenizer_json) {
  return Tokenizer(TokenizerFile::read(tokenizer_json));
}

Tokenizer::Tokenizer(TokenizerFile file) : model_(std::make_shared<Model>(std::move(file))) {}

std::vector<std::int32_t> Tokenizer::encode(std::string_view utf8) const {
  Ids ids;
  encode(utf8, ids);
  return ids;
}

void Tokenizer::encode(std::string_view text, Ids& out) const {
  if (const auto bad = first_invalid_utf8(text)) {
    fail(ExitCode::data, "the text is not valid UTF-8: byte {} is {:#04x}", *bad + 1,
         static_cast<unsigned char>(text[*bad]));
  }
  encode_valid(text, out);
}

void Tokenizer::encode_valid(std::string_view text, Ids& out) const {
  require(text.size() <= kMostTextBytes, ExitCode::data,
          "a text of {} bytes is longer than the {} that can be tokenized as one", text.size(),
          kMostTextBytes);
  const auto room =
      model_->rooms.take([&] { return std::make_unique<Model::Room>(model_->pairs); });
  std::size_t done = 0;
  while (done < text.size()) {
    const AddedTokens::Match match = model_->raw_tokens.next(text, done);
    const bool found = match.id != TokenizerFile::kNoToken;
    model_->encode_piece(text.substr(done, found ? match.begin - done : std::string_view::npos),
                         *room, out);
    if (!found) break;
    out.push_back(match.id);
    done = match.end;
  }
  (*room).forget_long_text();
}

std::vector<std::vector<std::int32_t>> Tokenizer::encode_documents(
    std::span<const std::string_view> documents) const {
  // Short ones together: a task should take longer than it takes to hand it out.
  constexpr std::size_t kTaskBytes = std::size_t{1} << 16;
  std::vector<std::size_t> begins = {0};
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < documents.size(); i++) {
    bytes += documents[i].size();
    if (bytes < kTaskBytes && i + 1 < documents.size()) continue;
    begins.push_back(i + 1);
    bytes = 0;
  }
  std::vector<Ids> ids(documents.size());
  parallel_for(static_cast<std::int64_t>(begins.size()) - 1, [&](std::int64_t task) {
    const auto index = static_cast<std::size_t>(task);
    for (std::size_t i = begins[index]; i < begins[index + 1]; i++) {
      encode(documents[i], ids[i]);
    }
  });
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    text += bytes_of(id);
  }
  return text;
}

std::string_view Tokenizer::bytes_of(std::int32_t id) const {
  require(id >= 0 && id < size(), ExitCode::data, "expected token ids from 0 to {}, got {}",
          size() - 1, id);
  return model_->file.tokens[static_cast<std::size_t>(id)];
}

std::int64_t Tokenizer::size() const {
  return static_cast<std::int64_t>(model_->file.tokens.size());
}

std::optional<std::int32_t> Tokenizer::id_of(std::string_view token) const {
  const auto found = model_->ids.find(token);
  if (found == model_->ids.end()) return std::nullopt;
  return found->second;
}

bool Tokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < size() && model_->special[static_cast<std::size_t>(id)];
}

std::string Tokenizer::fingerprint() const {
  return model_->fingerprint;
}

}  // namespace farsight
