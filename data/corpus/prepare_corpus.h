// Text files become token shards (data/corpus/token_shards.h), once.
//
//   const std::filesystem::path folder = prepare_corpus({"corpus/*.jsonl.zst"}, tokenizer, {}, {});
//   const TokenShards corpus = TokenShards::open(folder);
//
// The folder's name is the hash of what decides its contents: the same inputs with the same
// tokenizer and settings are found again and not tokenised twice. One thread reads, others tokenise,
// one writes, in the order of the corpus: the result does not depend on their number, and the memory
// not on the size of the corpus. Shards appear whole or not at all: a build that was killed goes on
// behind the last one. Two processes that need the same folder do not build it twice: one waits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "data/corpus/shard_manifest.h"

namespace farsight {

class Tokenizer;

struct CorpusSettings {
  CorpusReading reading;
  Packing packing;
};

/// Where a build stands.
struct CorpusProgress {
  /// "hashing", "waiting" for another process, "tokenising"; or "found": it was tokenised before.
  std::string_view stage;
  std::filesystem::path folder = {};       ///< where it was found
  std::uint64_t input_bytes = 0;           ///< of the files, as they lie there: read so far
  std::uint64_t total_input_bytes = 0;     ///< ... and altogether
  std::int64_t text_bytes = 0;             ///< of documents
  std::int64_t tokens = 0, documents = 0;  ///< so far, those found finished included
  std::int64_t resumed_text_bytes = 0;     ///< of text_bytes, what an earlier build had done
};

struct CorpusBuild {
  std::filesystem::path cache = {};  ///< empty: default_corpus_cache()
  bool rehash = false;  ///< reads all of the files, too, where `cache` remembers their hashes
  int threads = 0;      ///< that tokenise; 0: farsight::threads()
  /// A further thread reads and unpacks ahead of them. Without it one thread does everything, and
  /// `threads` does not count.
  bool reads_ahead = true;
  /// A shard ends behind the record (data/corpus/record_reader.h) that reaches it.
  std::int64_t shard_tokens = std::int64_t{1} << 24;
  /// Called by the calling thread, at most some times a second. May throw, which ends the build;
  /// the shards that are finished stay for the next one.
  std::function<void(const CorpusProgress&)> progress = {};
};

/// "corpora" in FARSIGHT_CACHE or the user's cache folder. Throws Error(storage) when there is none.
std::filesystem::path default_corpus_cache();

/// Builds the shards of the files that `patterns` name (paths; *, ? and [...] are matched, in the
/// order of names), or finds them. Returns their folder. Errors: a pattern without a match, a kind
/// of file that is not read (data); a file that is not what its name says, invalid UTF-8, a line
/// without the field (corrupt); a file that cannot be read or written (storage).
std::filesystem::path prepare_corpus(const std::vector<std::string>& patterns,
                                     const Tokenizer& tokenizer, const CorpusSettings& settings,
                                     const CorpusBuild& build);

/// The same into a folder of its own, which must not be there, or hold exactly this corpus.
void build_corpus(const std::filesystem::path& folder, const std::vector<std::string>& patterns,
                  const Tokenizer& tokenizer, const CorpusSettings& settings,
                  const CorpusBuild& build);

}  // namespace farsight
