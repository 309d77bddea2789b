#include "data/text/tokenizer_file.h"

#include <fmt/format.h>

#include <optional>
#include <unordered_map>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "data/text/byte_alphabet.h"
#include "data/text/nfc.h"

namespace farsight {
namespace {

using Ids = std::unordered_map<std::string_view, std::int32_t>;

constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 28;
// The merges as arrays of two strings, the vocabulary, and the little else there is.
constexpr JsonLimits kLimits{.depth = 64, .values = std::size_t{1} << 23, .name_bytes = 8192};

[[noreturn]] void unsupported(std::string_view file, std::string_view what,
                              std::string_view known) {
  fail(ExitCode::data, "{}: {} is not supported; known is {}", file, what, known);
}

/// The "type" of one of the file's parts; empty when the part is null or absent.
std::string type_of(const Json& root, std::string_view part) {
  const Json* found = root.find(part);
  return found == nullptr || found->is_null() ? std::string() : found->at("type").as_string();
}

bool set_and_not(const Json& object, std::string_view key, const Json& harmless) {
  const Json* found = object.find(key);
  return found != nullptr && !found->is_null() && !(*found == harmless);
}

/// Is the text brought to NFC?
bool normalizes(std::string_view file, const Json& normalizer) {
  if (normalizer.is_null()) return false;
  const std::string& type = normalizer.at("type").as_string();
  if (type == "NFC") return true;
  if (type == "Sequence") {
    bool any = false;
    for (const Json& part : normalizer.at("normalizers").elements()) {
      any = normalizes(file, part) || any;
    }
    return any;
  }
  unsupported(file, fmt::format("the normalizer {}", Json(type).dump()), "NFC, or none");
}

void require_byte_level(std::string_view file, const Json& root) {
  const std::string split = type_of(root, "pre_tokenizer");
  if (split != "ByteLevel") {
    unsupported(file, fmt::format("the pre_tokenizer {}", Json(split).dump()), "ByteLevel");
  }
  const Json& rules = root.at("pre_tokenizer");
  rules.allow_only({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  if (set_and_not(rules, "add_prefix_space", false)) {
    unsupported(file, "add_prefix_space true of the pre_tokenizer", "false");
  }
  if (set_and_not(rules, "use_regex", true)) {
    unsupported(file, "use_regex false of the pre_tokenizer", "true: GPT-2's expression");
  }
  const std::string decoder = type_of(root, "decoder");
  if (decoder != "ByteLevel") {
    unsupported(file, fmt::format("the decoder {}", Json(decoder).dump()), "ByteLevel");
  }
}

/// What comes after the model may not add tokens: ours are those of the text.
void require_no_added_ends(std::string_view file, const Json& root) {
  const std::string type = type_of(root, "post_processor");
  if (type.empty() || type == "ByteLevel") return;
  const bool empty_template =
      type == "TemplateProcessing" && root.at("post_processor").at("special_tokens").size() == 0;
  if (!empty_template) {
    unsupported(file, fmt::format("the post_processor {}, which adds tokens,", Json(type).dump()),
                "ByteLevel, a template without special tokens, or none");
  }
}

void require_known_kind(std::string_view file, const Json& root) {
  root.allow_only({"version", "truncation", "padding", "added_tokens", "normalizer",
                   "pre_tokenizer", "post_processor", "decoder", "model"});
  const std::string& version = root.at("version").as_string();
  if (version != "1.0") {
    unsupported(file, fmt::format("version {}", Json(version).dump()), "1.0");
  }
  for (const char* ends : {"truncation", "padding"}) {
    const Json* found = root.find(ends);
    if (found != nullptr && !found->is_null()) unsupported(file, ends, "null: texts stay whole");
  }
  require_byte_level(file, root);
  require_no_added_ends(file, root);
  const Json& model = root.at("model");
  // Old files do not name the model.
  const std::string type = model.contains("type") ? model.at("type").as_string() : "BPE";
  if (type != "BPE") unsupported(file, fmt::format("the model {}", Json(type).dump()), "BPE");
  model.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix",
                    "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                    "merges"});
  for (const char* text : {"unk_token", "continuing_subword_prefix", "end_of_word_suffix"}) {
    // An unknown token is never needed: every byte has a token.
    const bool harmless = std::string_view(text) == "unk_token";
    if (!harmless && set_and_not(model, text, "")) {
      unsupported(file, fmt::format("{} of the model", text), "null");
    }
  }
  for (const char* flag : {"byte_fallback", "ignore_merges"}) {
    if (set_and_not(model, flag, false)) {
      unsupported(file, fmt::format("{} of the model", flag), "false");
    }
  }
  const Json* dropout = model.find("dropout");
  if (dropout != nullptr && !dropout->is_null() && dropout->as_double() != 0) {
    unsupported(file, "dropout of the model", "null");
  }
}

std::int32_t id_in(const Json& value, std::size_t count) {
  return static_cast<std::int32_t>(value.as_int(0, static_cast<std::int64_t>(count) - 1));
}

/// Fills in the tokens one by one and sees that every id is used once.
class Vocabulary {
 public:
  Vocabulary(const Json& model, const Json* added) : vocab_(model.at("vocab")) {
    for (const Json::Member& member : vocab_.members()) {
      names_.emplace(member.key, 0);
    }
    std::size_t count = names_.size();
    if (added != nullptr) {
      for (const Json& token : added->elements()) {
        if (!names_.contains(token.at("content").as_string())) count++;
      }
    }
    if (count > TokenizerFile::kMostTokens) {
      vocab_.refuse(
          fmt::format("expected at most {} tokens, got {}", TokenizerFile::kMostTokens, count));
    }
    if (count == 0) vocab_.refuse("the vocabulary is empty");
    tokens_.resize(count);
    used_.resize(count, false);
  }

  void read_names() {
    for (const Json::Member& member : vocab_.members()) {
      const std::int32_t id = id_in(member.value, tokens_.size());
      use(member.value, id);
      names_[member.key] = id;
    }
  }

  void read_added(const Json& list, std::vector<TokenizerFile::AddedToken>& added) {
    for (const Json& entry : list.elements()) {
      entry.allow_only(
          {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
      TokenizerFile::AddedToken token{.content = entry.at("content").as_string(),
                                      .id = id_in(entry.at("id"), tokens_.size()),
                                      .special = entry.at("special").as_bool(),
                                      .normalized = entry.at("normalized").as_bool()};
      refuse_long(entry, token.content);
      if (token.content.empty()) entry.refuse("an added token is empty");
      for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
        if (set_and_not(entry, flag, false)) {
          entry.refuse(fmt::format("{} of an added token is not supported; known is false", flag));
        }
      }
      const auto named = names_.find(token.content);
      if (named == names_.end()) {
        use(entry.at("id"), token.id);
      } else if (named->second != token.id) {
        entry.refuse(fmt::format("the added token {} has id {}, the vocabulary says {}",
                                 Json(token.content).dump(), token.id, named->second));
      }
      std::string& text = tokens_[static_cast<std::size_t>(token.id)];
      if (!text.empty()) {
        entry.refuse(fmt::format("the added token {} is there twice", Json(token.content).dump()));
      }
      text = token.content;
      added.push_back(std::move(token));
    }
  }

  /// The bytes of every name that is no added token.
  void decode_names() {
    for (const Json::Member& member : vocab_.members()) {
      std::string& text = tokens_[static_cast<std::size_t>(names_[member.key])];
      if (!text.empty()) continue;  // an added token, whose text is its content
      const auto bytes = bytes_of_token(member.key);
      if (!bytes || bytes->empty()) {
        member.value.refuse(fmt::format("the token {} is not written in GPT-2's byte alphabet",
                                        Json(member.key).dump()));
      }
      refuse_long(member.value, *bytes);
      text = *bytes;
    }
  }

  void require_dense() const {
    for (std::size_t id = 0; id < used_.size(); id++) {
      if (!used_[id]) {
        vocab_.refuse(
            fmt::format("expected the ids 0 to {}, there is no token {}", used_.size() - 1, id));
      }
    }
  }

  std::optional<std::int32_t> id_of(std::string_view name) const {
    const auto found = names_.find(name);
    if (found == names_.end()) return std::nullopt;
    return found->second;
  }
  std::vector<std::string> take() { return std::move(tokens_); }

 private:
  void use(const Json& at, std::int32_t id) {
    const auto index = static_cast<std::size_t>(id);
    if (used_[index]) at.refuse(fmt::format("the id {} belongs to two tokens", id));
    used_[index] = true;
  }
  static void refuse_long(const Json& at, std::string_view token) {
    if (token.size() <= TokenizerFile::kMostTokenBytes) return;
    at.refuse(fmt::format("a token of {} bytes, at most {} are allowed", token.size(),
                          TokenizerFile::kMostTokenBytes));
  }

  const Json& vocab_;
  Ids names_;  // as they are written, in the byte alphabet
  std::vector<std::string> tokens_;
  std::vector<bool> used_;
};

struct MergeNames {
  std::string_view left, right;
};

/// "a b", or since 2024 ["a", "b"].
MergeNames names_of(const Json& merge) {
  if (merge.is_array()) {
    if (merge.size() != 2) merge.refuse(fmt::format("a merge has two parts, got {}", merge.size()));
    return {merge.at(0).as_string(), merge.at(1).as_string()};
  }
  const std::string_view text = merge.as_string();
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
    merge.refuse(fmt::format("a merge is two tokens with a space between, got {}", merge.dump()));
  }
  return {text.substr(0, space), text.substr(space + 1)};
}

std::vector<TokenizerFile::Merge> read_merges(const Json& list, const Vocabulary& vocabulary) {
  if (list.size() > TokenizerFile::kMostMerges) {
    list.refuse(
        fmt::format("expected at most {} merges, got {}", TokenizerFile::kMostMerges, list.size()));
  }
  const auto id_of = [&](const Json& merge, std::string_view name) {
    const auto id = vocabulary.id_of(name);
    if (!id) {
      merge.refuse(fmt::format("the merge {} needs the token {}, which the vocabulary lacks",
                               merge.dump(), Json(name).dump()));
    }
    return *id;
  };
  std::vector<TokenizerFile::Merge> merges;
  merges.reserve(list.size());
  std::unordered_map<std::uint64_t, std::size_t> seen;
  seen.reserve(list.size());
  std::string joined;
  for (const Json& merge : list.elements()) {
    const auto [left, right] = names_of(merge);
    joined.assign(left).append(right);
    merges.push_back({id_of(merge, left), id_of(merge, right), id_of(merge, joined)});
    const std::uint64_t pair = static_cast<std::uint64_t>(merges.back().left) << 32 |
                               static_cast<std::uint32_t>(merges.back().right);
    if (!seen.emplace(pair, merges.size()).second) {
      merge.refuse(fmt::format("the merge {} is there twice", merge.dump()));
    }
  }
  return merges;
}

/// Bytes that a valid text can have.
bool in_utf8(int byte) {
  return byte < 0xC0 || (byte >= 0xC2 && byte <= 0xF4);
}

}  // namespace

TokenizerFile TokenizerFile::parse(std::string_view json, std::string_view file) {
  const Json root = Json::parse(json, file, kLimits);
  require_known_kind(file, root);
  const Json& model = root.at("model");
  const Json* added = root.find("added_tokens");
  if (added != nullptr && added->is_null()) added = nullptr;

  TokenizerFile result;
  if (const Json* normalizer = root.find("normalizer")) result.nfc = normalizes(file, *normalizer);
  Vocabulary vocabulary(model, added);
  vocabulary.read_names();
  if (added != nullptr) vocabulary.read_added(*added, result.added);
  vocabulary.decode_names();
  vocabulary.require_dense();
  for (int byte = 0; byte < 256; byte++) {
    const auto id = vocabulary.id_of(name_of_byte(byte));
    if (!id && in_utf8(byte)) {
      model.at("vocab").refuse(fmt::format("there is no token for the byte {:#04x}", byte));
    }
    result.bytes[static_cast<std::size_t>(byte)] = id.value_or(kNoToken);
  }
  result.merges = read_merges(model.at("merges"), vocabulary);
  result.tokens = vocabulary.take();
  return result;
}

TokenizerFile TokenizerFile::read(const std::filesystem::path& path) {
  return parse(read_file(path, kMostBytes), path.string());
}

}  // namespace farsight
