// A corpus before it is tokenised: its files, and what they are by their contents.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/corpus/build_reporter.h"
#include "data/corpus/corpus_files.h"
#include "data/corpus/prepare_corpus.h"
#include "data/corpus/shard_manifest.h"
#include "data/text/tokenizer.h"

namespace farsight {

struct CorpusPlan {
  std::vector<CorpusFile> files;
  ShardManifest manifest;  ///< inputs, tokenizer, reading, packing
};

/// `hashes`: the folder that remembers those of files (data/corpus/file_hashes.h); empty: all of them
/// are read. Throws as prepare_corpus.
CorpusPlan corpus_plan(const std::vector<std::string>& patterns, const Tokenizer& tokenizer,
                       const CorpusSettings& settings, const std::filesystem::path& hashes,
                       BuildReporter& reporter);

}  // namespace farsight
