#include "data/text/vocabulary.h"

#include <fmt/format.h>

#include <set>
#include <unordered_set>
#include <utility>

#include "data/text/byte_alphabet.h"
#include "data/text/nfc.h"

namespace farsight {
namespace {

void refuse_long(const Json& at, std::string_view token) {
  if (token.size() <= TokenizerFile::kMostTokenBytes) return;
  at.refuse(fmt::format("a token of {} bytes, at most {} are allowed", token.size(),
                        TokenizerFile::kMostTokenBytes));
}

bool is_true(const Json& object, std::string_view key) {
  const Json* found = object.find(key);
  return found != nullptr && found->as_bool();
}

/// "a b", or since 2024 ["a", "b"].
std::pair<std::string_view, std::string_view> names_of(const Json& merge) {
  if (merge.is_array()) {
    if (merge.size() != 2) merge.refuse(fmt::format("a merge has two parts, got {}", merge.size()));
    return {merge.at(0).as_string(), merge.at(1).as_string()};
  }
  const std::string_view text = merge.as_string();
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
    merge.refuse(fmt::format("a merge is two tokens with one space between, got {}", merge.dump()));
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

/// Can a valid text have this byte?
bool in_utf8(int byte) {
  return byte < 0xC0 || (byte >= 0xC2 && byte <= 0xF4);
}

}  // namespace

Vocabulary::Vocabulary(const Json& vocab, const Json* added) : vocab_(vocab), added_(added) {
  for (const Json::Member& member : vocab.members()) {
    names_.emplace(member.key, TokenizerFile::kNoToken);
  }
  std::size_t count = names_.size();
  if (added != nullptr) {
    for (const Json& token : added->elements()) {
      if (!names_.contains(token.at("content").as_string())) count++;
    }
  }
  if (count == 0 || count > TokenizerFile::kMostTokens) {
    vocab.refuse(fmt::format("expected 1 to {} tokens, got {}", TokenizerFile::kMostTokens, count));
  }
  // So many ids below `count`, none of them twice: every one is used.
  tokens_.resize(count);
  used_.resize(count, false);
  for (const Json::Member& member : vocab.members()) {
    const std::int32_t id = id_in(member.value);
    use(member.value, id);
    names_[member.key] = id;
  }
}

std::vector<TokenizerFile::AddedToken> Vocabulary::read_added(bool nfc_first) {
  std::vector<TokenizerFile::AddedToken> tokens;
  if (added_ == nullptr) return tokens;
  std::set<std::pair<bool, std::string>> patterns;
  for (const Json& entry : added_->elements()) {
    TokenizerFile::AddedToken token = read_added_token(entry);
    std::string room;
    const std::string_view text = token.content;
    const std::string_view pattern = token.normalized && nfc_first ? nfc(text, room) : text;
    if (!patterns.emplace(token.normalized, pattern).second) {
      entry.refuse(fmt::format("the added token {} is there twice, or another one in NFC",
                               Json(token.content).dump()));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

TokenizerFile::AddedToken Vocabulary::read_added_token(const Json& entry) {
  entry.allow_only({"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
  TokenizerFile::AddedToken token{.content = entry.at("content").as_string(),
                                  .id = id_in(entry.at("id")),
                                  .special = entry.at("special").as_bool(),
                                  .normalized = entry.at("normalized").as_bool()};
  refuse_long(entry, token.content);
  const std::string quoted = Json(token.content).dump();
  if (token.content.empty()) entry.refuse("an added token is empty");
  for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
    if (is_true(entry, flag)) {
      entry.refuse(
          fmt::format("{} of the added token {} is not supported; known is false", flag, quoted));
    }
  }
  std::string& text = tokens_[static_cast<std::size_t>(token.id)];
  if (!text.empty()) entry.refuse(fmt::format("the id {} belongs to two added tokens", token.id));
  const std::optional<std::int32_t> named = id_of(token.content);
  if (!named) {
    use(entry.at("id"), token.id);
  } else if (*named != token.id) {
    entry.refuse(fmt::format("the added token {} has the id {}, the vocabulary says {}", quoted,
                             token.id, *named));
  }
  text = token.content;
  return token;
}

std::vector<std::string> Vocabulary::read_tokens() {
  for (const Json::Member& member : vocab_.members()) {
    std::string& text = tokens_[static_cast<std::size_t>(names_.at(member.key))];
    if (!text.empty()) continue;  // an added token, whose text is its content
    const auto bytes = bytes_of_token(member.key);
    if (!bytes || bytes->empty()) {
      member.value.refuse(fmt::format("the token {} is not written in GPT-2's byte alphabet",
                                      Json(member.key).dump()));
    }
    refuse_long(member.value, *bytes);
    text = *bytes;
  }
  return tokens_;
}

std::array<std::int32_t, 256> Vocabulary::byte_tokens() const {
  std::array<std::int32_t, 256> tokens{};
  for (int byte = 0; byte < 256; byte++) {
    const std::optional<std::int32_t> id = id_of(name_of_byte(byte));
    if (!id && in_utf8(byte)) {
      vocab_.refuse(fmt::format("there is no token for the byte {:#04x}", byte));
    }
    tokens[static_cast<std::size_t>(byte)] = id.value_or(TokenizerFile::kNoToken);
  }
  return tokens;
}

std::vector<TokenizerFile::Merge> Vocabulary::read_merges(const Json& list) const {
  if (list.elements().size() > TokenizerFile::kMostMerges) {
    list.refuse(
        fmt::format("expected at most {} merges, got {}", TokenizerFile::kMostMerges, list.size()));
  }
  const auto known = [&](const Json& merge, std::string_view name) {
    const std::optional<std::int32_t> id = id_of(name);
    if (!id) {
      merge.refuse(fmt::format("the merge {} needs the token {}, which the vocabulary lacks",
                               merge.dump(), Json(name).dump()));
    }
    return *id;
  };
  std::vector<TokenizerFile::Merge> merges;
  std::unordered_set<std::uint64_t> pairs;
  std::string joined;
  for (const Json& merge : list.elements()) {
    const auto [left, right] = names_of(merge);
    joined.assign(left).append(right);
    merges.push_back({known(merge, left), known(merge, right), known(merge, joined)});
    const auto pair = static_cast<std::uint64_t>(merges.back().left) << 32 |
                      static_cast<std::uint64_t>(merges.back().right);
    if (!pairs.insert(pair).second) {
      merge.refuse(fmt::format("the merge {} is there twice", merge.dump()));
    }
  }
  return merges;
}

std::optional<std::int32_t> Vocabulary::id_of(std::string_view name) const {
  const auto found = names_.find(name);
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

std::int32_t Vocabulary::id_in(const Json& value) const {
  return static_cast<std::int32_t>(value.as_int(0, static_cast<std::int64_t>(tokens_.size()) - 1));
}

void Vocabulary::use(const Json& at, std::int32_t id) {
  const auto index = static_cast<std::size_t>(id);
  if (used_[index]) at.refuse(fmt::format("the id {} belongs to two tokens", id));
  used_[index] = true;
}

}  // namespace farsight
