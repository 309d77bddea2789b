#include "data/corpus/shard_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/hash.h"
#include "core/version.h"
#include "data/corpus/shard_file.h"

namespace farsight {
namespace {

constexpr std::string_view kFormat = "farsight token shards";
constexpr std::array<std::string_view, 3> kTextDocuments = {"file", "endoftext", "blank-line"};
constexpr std::array<std::string_view, 2> kInvalidUtf8 = {"stop", "replace"};
constexpr std::int64_t kMost = std::int64_t{1} << 62;

template <class Value, std::size_t N>
Value value_named(const std::array<std::string_view, N>& names, std::string_view name,
                  std::string_view what) {
  const auto at = std::find(names.begin(), names.end(), name);
  require(at != names.end(), ExitCode::usage, "{} must be one of {}, got '{}'", what,
          fmt::join(names, ", "), name.substr(0, 40));
  return static_cast<Value>(at - names.begin());
}

Json reading_json(const CorpusReading& reading) {
  return Json::object({{"field", reading.field},
                       {"documents", name_of(reading.documents)},
                       {"invalid_utf8", name_of(reading.invalid_utf8)},
                       {"longest_line", reading.longest_line}});
}

Json packing_json(const Packing& packing) {
  return Json::object(
      {{"group_documents", packing.group_documents}, {"end_of_text", packing.end_of_text}});
}

/// A word of the manifest that a list has.
template <class Value, std::size_t N>
Value member_named(const Json& json, const std::array<std::string_view, N>& names) {
  const auto at = std::find(names.begin(), names.end(), json.as_string());
  if (at == names.end()) json.refuse(fmt::format("expected one of {}", fmt::join(names, ", ")));
  return static_cast<Value>(at - names.begin());
}

ShardManifest::Shard shard_from(const Json& json, std::size_t number) {
  json.allow_only({"file", "bytes", "xxh3", "tokens", "documents"});
  const std::string name = shard_name(static_cast<std::int64_t>(number));
  if (json.at("file").as_string() != name) json.at("file").refuse("expected " + name);
  return {.file = name,
          .bytes = json.at("bytes").as_unsigned(),
          .xxh3 = json.at("xxh3").as_string(),
          .tokens = json.at("tokens").as_int(0, kMost),
          .documents = json.at("documents").as_int(0, kMost)};
}

/// XXH3 of everything but the member that says it.
std::string hash_of_rest(const Json& json) {
  Json rest = Json::object();
  for (const Json::Member& member : json.members()) {
    if (member.key != "xxh3") rest[member.key] = member.value;
  }
  return hex(xxh3_64(bytes_of(rest.dump())));
}

/// The counts of the shards are those of the whole.
void require_sums(const Json& json, const ShardManifest& manifest) {
  std::uint64_t tokens = 0, documents = 0;
  const Place place{"manifest.json", 0};
  for (const ShardManifest::Shard& shard : manifest.shards) {
    tokens = checked_add(tokens, static_cast<std::uint64_t>(shard.tokens), place, "sum of tokens");
    documents =
        checked_add(documents, static_cast<std::uint64_t>(shard.documents), place, "documents");
  }
  const auto require_sum = [&](std::string_view member, std::uint64_t sum) {
    if (json.at(member).as_unsigned() != sum) {
      json.at(member).refuse(fmt::format("the shards have {} altogether", sum));
    }
  };
  require_sum("tokens", tokens);
  require_sum("documents", documents);
}

}  // namespace

std::string_view name_of(TextDocuments documents) {
  return kTextDocuments[static_cast<std::size_t>(documents)];
}

std::string_view name_of(InvalidUtf8 rule) {
  return kInvalidUtf8[static_cast<std::size_t>(rule)];
}

TextDocuments text_documents_named(std::string_view name) {
  return value_named<TextDocuments>(kTextDocuments, name, "the documents of a text file");
}

InvalidUtf8 invalid_utf8_named(std::string_view name) {
  return value_named<InvalidUtf8>(kInvalidUtf8, name, "what to do with invalid UTF-8");
}

Json manifest_json(const ShardManifest& manifest) {
  Json json =
      Json::object({{"format", kFormat},
                    {"format_version", kShardFormatVersion},
                    {"made_by", version_line()},
                    {"key", hex(corpus_key(manifest))},
                    {"tokenizer", Json::object({{"fingerprint", manifest.tokenizer.fingerprint},
                                                {"vocabulary", manifest.tokenizer.vocabulary},
                                                {"end_of_text", manifest.tokenizer.end_of_text}})},
                    {"reading", reading_json(manifest.reading)},
                    {"packing", packing_json(manifest.packing)},
                    {"tokens", manifest.tokens},
                    {"documents", manifest.documents},
                    {"empty_documents", manifest.empty_documents},
                    {"text_bytes", manifest.text_bytes},
                    {"replaced", manifest.replaced},
                    {"largest_id", manifest.largest_id},
                    {"token_bytes", manifest.token_bytes}});
  Json inputs = Json::array();
  for (const CorpusInput& input : manifest.inputs) {
    inputs.push_back(Json::object({{"name", input.name},
                                   {"kind", input.kind},
                                   {"bytes", input.bytes},
                                   {"xxh3", input.xxh3}}));
  }
  json["inputs"] = std::move(inputs);
  Json shards = Json::array();
  for (const ShardManifest::Shard& shard : manifest.shards) {
    shards.push_back(Json::object({{"file", shard.file},
                                   {"bytes", shard.bytes},
                                   {"xxh3", shard.xxh3},
                                   {"tokens", shard.tokens},
                                   {"documents", shard.documents}}));
  }
  json["shards"] = std::move(shards);
  json["xxh3"] = hash_of_rest(json);
  return json;
}

ShardManifest manifest_from(const Json& json) {
  const Json& format = json.at("format");
  if (format.as_string() != kFormat) format.refuse(fmt::format("expected \"{}\"", kFormat));
  const Json& version = json.at("format_version");
  if (version.as_int() != kShardFormatVersion) {
    version.refuse(fmt::format("this version of farsight reads format_version {}, this is {}",
                               kShardFormatVersion, version.as_int()));
  }
  json.allow_only({"format", "format_version", "made_by", "key", "tokenizer", "reading", "packing",
                   "tokens", "documents", "empty_documents", "text_bytes", "replaced", "largest_id",
                   "token_bytes", "inputs", "shards", "xxh3"});
  if (json.at("xxh3").as_string() != hash_of_rest(json)) {
    json.at("xxh3").refuse("the manifest is not what was written (XXH3)");
  }
  constexpr std::int64_t kMostId = std::numeric_limits<std::int32_t>::max();
  ShardManifest manifest;
  const Json& tokenizer = json.at("tokenizer");
  tokenizer.allow_only({"fingerprint", "vocabulary", "end_of_text"});
  manifest.tokenizer = {.fingerprint = tokenizer.at("fingerprint").as_string(),
                        .vocabulary = tokenizer.at("vocabulary").as_int(1, kMostId),
                        .end_of_text = tokenizer.at("end_of_text").as_int(-1, kMostId)};
  const Json& reading = json.at("reading");
  reading.allow_only({"field", "documents", "invalid_utf8", "longest_line"});
  manifest.reading = {
      .field = reading.at("field").as_string(),
      .documents = member_named<TextDocuments>(reading.at("documents"), kTextDocuments),
      .invalid_utf8 = member_named<InvalidUtf8>(reading.at("invalid_utf8"), kInvalidUtf8),
      .longest_line = reading.at("longest_line").as_unsigned()};
  const Json& packing = json.at("packing");
  packing.allow_only({"group_documents", "end_of_text"});
  manifest.packing = {.group_documents = packing.at("group_documents").as_int(0, kMost),
                      .end_of_text = packing.at("end_of_text").as_bool()};
  for (const Json& input : json.at("inputs").elements()) {
    input.allow_only({"name", "kind", "bytes", "xxh3"});
    manifest.inputs.push_back({.name = input.at("name").as_string(),
                               .kind = input.at("kind").as_string(),
                               .bytes = input.at("bytes").as_unsigned(),
                               .xxh3 = input.at("xxh3").as_string()});
  }
  manifest.tokens = json.at("tokens").as_int(0, kMost);
  manifest.documents = json.at("documents").as_int(0, kMost);
  manifest.empty_documents = json.at("empty_documents").as_int(0, manifest.documents);
  manifest.text_bytes = json.at("text_bytes").as_int(0, kMost);
  manifest.replaced = json.at("replaced").as_int(0, kMost);
  manifest.largest_id = json.at("largest_id").as_int(-1, manifest.tokenizer.vocabulary - 1);
  manifest.token_bytes = static_cast<int>(json.at("token_bytes").as_int(2, 4));
  const Json& shards = json.at("shards");
  for (std::size_t i = 0; i < shards.elements().size(); i++) {
    manifest.shards.push_back(shard_from(shards.at(i), i));
  }
  require_sums(json, manifest);
  return manifest;
}

ShardManifest read_manifest(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "manifest.json";
  require(std::filesystem::exists(path), ExitCode::storage,
          "'{}' is no tokenised corpus: it has no manifest.json", folder.string());
  return manifest_from(read_json(path));
}

std::uint64_t corpus_key(const ShardManifest& manifest) {
  CorpusReading reading = manifest.reading;
  reading.longest_line = CorpusReading().longest_line;  // it refuses lines, and changes none
  Json decisive = Json::object({{"format_version", kShardFormatVersion},
                                {"fingerprint", manifest.tokenizer.fingerprint},
                                {"vocabulary", manifest.tokenizer.vocabulary},
                                {"end_of_text", manifest.tokenizer.end_of_text},
                                {"reading", reading_json(reading)},
                                {"packing", packing_json(manifest.packing)}});
  Json inputs = Json::array();
  for (const CorpusInput& input : manifest.inputs) {
    inputs.push_back(
        Json::object({{"kind", input.kind}, {"bytes", input.bytes}, {"xxh3", input.xxh3}}));
  }
  decisive["inputs"] = std::move(inputs);
  return xxh3_64(bytes_of(decisive.dump()));
}

}  // namespace farsight
