// The token files of two other projects, in and out.
//
//   nanoGPT   data/*/train.bin: ids as u16, nothing else
//   llm.c     dev/data/data_common.py: 256 i32 (magic, version, number of ids, zeros), then the ids:
//             magic 20240520, version 1: u16 ("gpt-2"); magic 20240801, version 7: u32 ("llama-3")
//
// Neither has documents: where an end-of-text id is known, one ends behind each of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/corpus/prepare_corpus.h"
#include "data/corpus/token_shards.h"

namespace farsight {

enum class TokenBinFormat { nanogpt, llmc };
std::string_view name_of(TokenBinFormat format);
/// Throws Error(usage) for a word that is none.
TokenBinFormat token_bin_format_named(std::string_view name);

struct TokenBinImport {
  ShardManifest::Tokenizer tokenizer;  ///< whose ids they are; without a fingerprint, nobody's
  /// Nothing: llm.c where its header is, else nanoGPT, unless it looks like text.
  std::optional<TokenBinFormat> format = {};
  std::int64_t group_documents = 0;  ///< Packing::group_documents
};

/// Makes token shards of the files that `patterns` name, in their order. `build`: as build_corpus;
/// the cache and the threads do not count. Throws Error(data) for a pattern without a match,
/// Error(corrupt) naming file and byte for a file of another size than its header says, one that looks
/// like something else than ids, or an id that the vocabulary has not; otherwise as build_corpus.
void import_token_bins(const std::filesystem::path& folder,
                       const std::vector<std::string>& patterns, const TokenBinImport& import,
                       const CorpusBuild& build);

struct TokenBinExport {
  TokenBinFormat format = TokenBinFormat::nanogpt;
  /// Puts the end-of-text id behind every document of a corpus that was built without.
  bool end_of_text = false;
  /// 0: one file. Else `path` becomes PATH_000001.bin, PATH_000002.bin, ...
  std::int64_t tokens_per_file = 0;
  bool overwrite = false;  ///< files that are there already
};

/// Writes the ids of all documents and returns the files. Throws Error(data) for ids that the format
/// cannot hold, Error(usage), before anything is written, for a file that is there already.
std::vector<std::filesystem::path> export_token_bin(const TokenShards& corpus,
                                                    const std::filesystem::path& path,
                                                    const TokenBinExport& how);

}  // namespace farsight
