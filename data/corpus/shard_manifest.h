// What a tokenised corpus says of itself: manifest.json of data/corpus/token_shards.h.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"

namespace farsight {

inline constexpr int kShardFormatVersion = 1;
/// Ids of a vocabulary up to this size have two bytes each, others four.
inline constexpr std::int64_t kNarrowVocabulary = 65'536;

/// How documents become blocks.
struct Packing {
  /// Documents that are concatenated before they are cut into blocks, the remainder of each group
  /// dropped. 0: the whole corpus is one group. The authors have 1,000.
  std::int64_t group_documents = 1000;
  /// Puts the end-of-text token behind every document. The authors put nothing there.
  bool end_of_text = false;
  friend bool operator==(const Packing&, const Packing&) = default;
};

/// What the documents of a text file are; every line of a JSON-lines file is one.
enum class TextDocuments {
  whole_file,   ///< the file, byte for byte
  end_of_text,  ///< what stands between "<|endoftext|>", a line break on either side aside
  blank_line,   ///< what stands between blank lines
};

/// What to do with bytes that are not UTF-8, and with \uD800 ... \uDFFF alone in JSON.
enum class InvalidUtf8 {
  stop,    ///< refuse the file, naming line and byte
  replace  ///< put U+FFFD in place of each maximal invalid sequence, and count them
};

/// How bytes become documents.
struct CorpusReading {
  std::string field = "text";  ///< of the JSON objects
  TextDocuments documents = TextDocuments::whole_file;
  InvalidUtf8 invalid_utf8 = InvalidUtf8::stop;
  std::uint64_t longest_line = std::uint64_t{16} << 20;  ///< bytes; a longer one is refused
  friend bool operator==(const CorpusReading&, const CorpusReading&) = default;
};

std::string_view name_of(TextDocuments documents);
std::string_view name_of(InvalidUtf8 rule);
/// Throw Error(usage) for a word that is none.
TextDocuments text_documents_named(std::string_view name);
InvalidUtf8 invalid_utf8_named(std::string_view name);

/// A file that was read.
struct CorpusInput {
  std::string name;         ///< as it was given
  std::string kind;         ///< "jsonl", "txt", with .zst or .gz; of imported ids their format
  std::uint64_t bytes = 0;  ///< as it lies there, compressed or not
  std::string xxh3;         ///< of these bytes
  friend bool operator==(const CorpusInput&, const CorpusInput&) = default;
};

struct ShardManifest {
  struct Tokenizer {
    std::string fingerprint;        ///< empty: imported without a tokenizer
    std::int64_t vocabulary = 0;    ///< ids are below
    std::int64_t end_of_text = -1;  ///< its id; -1: it has none
  } tokenizer;
  CorpusReading reading;
  Packing packing;
  std::vector<CorpusInput> inputs;

  std::int64_t tokens = 0, documents = 0;
  std::int64_t empty_documents = 0;  ///< among them, without a single token of text
  std::int64_t text_bytes = 0;       ///< of the documents, UTF-8
  std::int64_t replaced = 0;         ///< invalid sequences that became U+FFFD
  std::int64_t largest_id = -1;
  int token_bytes = 2;  ///< of an id on disk: 2 (vocabulary <= 65,536) or 4

  struct Shard {
    std::string file;
    std::uint64_t bytes = 0;
    std::string xxh3;
    std::int64_t tokens = 0, documents = 0;
  };
  std::vector<Shard> shards;
};

Json manifest_json(const ShardManifest& manifest);
/// Throws Error(corrupt) naming member and byte.
ShardManifest manifest_from(const Json& json);
/// Throws Error(storage) for a folder without one.
ShardManifest read_manifest(const std::filesystem::path& folder);

/// Of everything that decides the tokens: inputs' contents and order, tokenizer, reading, packing.
/// Names and folders of files do not count.
std::uint64_t corpus_key(const ShardManifest& manifest);

}  // namespace farsight
