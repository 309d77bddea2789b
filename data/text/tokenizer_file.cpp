#include "data/text/tokenizer_file.h"

#include <fmt/format.h>

#include "core/check.h"
#include "core/files.h"
#include "core/json.h"
#include "data/text/vocabulary.h"

namespace farsight {
namespace {

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

/// Has the object another value than null and the harmless one?
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

void require_known_model(std::string_view file, const Json& model) {
  // Old files do not name the model.
  const std::string type = model.contains("type") ? model.at("type").as_string() : "BPE";
  if (type != "BPE") unsupported(file, fmt::format("the model {}", Json(type).dump()), "BPE");
  // The token for the unknown is never needed: every byte has one of its own.
  model.allow_only({"type", "dropout", "unk_token", "continuing_subword_prefix",
                    "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges", "vocab",
                    "merges"});
  for (const char* text : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (set_and_not(model, text, "")) {
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
  require_known_model(file, root.at("model"));
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
  Vocabulary vocabulary(model.at("vocab"), added);
  result.added = vocabulary.read_added(result.nfc);
  result.tokens = vocabulary.read_tokens();
  result.bytes = vocabulary.byte_tokens();
  result.merges = vocabulary.read_merges(model.at("merges"));
  return result;
}

TokenizerFile TokenizerFile::read(const std::filesystem::path& path) {
  return parse(read_file(path, kMostBytes), path.string());
}

}  // namespace farsight
