// The text that settings name: where its files are, the tokenizer that reads them, and the blocks that
// a run trains on and is validated on.
//
//   data.corpus       files or patterns with commas between them, or one folder of token shards;
//                     empty: corpus/enwiki_2018_train.jsonl.zst of the data folder
//   data.validation   in the same forms; empty: corpus/enwiki_2018_valid.jsonl.zst where data.corpus
//                     is empty too, else the last twentieth of the blocks of data.corpus. Of either
//                     at most data.validation_blocks.
//   data.tokenizer    empty: tokenizer/20B_tokenizer.json of the data folder
//   data.dir          the data folder; empty: what the environment's FARSIGHT_DATA names
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "data/text_loader.h"
#include "train/settings.h"

namespace farsight {

/// The tokenizer's file. Throws as default_file (train/default_file.h) where nothing names one.
std::filesystem::path tokenizer_path(const Settings& settings);

/// What corpora_of would read as text, sought and not read: throws what it throws where a file is
/// missing or none is named.
void require_corpora_there(const Settings& settings);

/// What makes one corpus another; `path` and the names of files do not.
struct CorpusIdentity {
  std::string tokenizer;   ///< fingerprint; empty: shards that were imported without one
  std::string corpus;      ///< corpus_key (data/corpus/shard_manifest.h)
  std::string validation;  ///< the same; that of the corpus where the validation is a part of it
  friend bool operator==(const CorpusIdentity&, const CorpusIdentity&) = default;
};

struct Corpora {
  TextBlocks train, valid;
  CorpusIdentity identity;
  std::filesystem::path tokenizer;  ///< its file; empty: none was needed, the corpus is shards
  std::int64_t vocabulary = 0;      ///< of the tokenizer
  std::int64_t tokens = 0, documents = 0;  ///< of data.corpus
  bool held_out = false;                   ///< the validation is a part of data.corpus
  std::string validation;                  ///< what it was read from, as it was named
};

/// Reads, or tokenises once, what the settings name. `note` gets a line now and then while it does.
/// Throws Error(usage) where they name nothing, Error(data) where corpus, tokenizer and model do not
/// fit together or there is no block, and what prepare_corpus throws.
Corpora corpora_of(const Settings& settings, const std::function<void(std::string_view)>& note);

/// corpus.json of a run: the identity, and for people what it was made from.
Json corpora_json(const Corpora& corpora);
/// The identity that a run's corpus.json has. Throws Error(corrupt, storage).
CorpusIdentity stored_identity(const std::filesystem::path& run);
/// Where the tokenizer was that it names; empty where the run needed none.
std::filesystem::path stored_tokenizer(const std::filesystem::path& run);

/// Writes corpus.json into the folder of a run, or, where there is one, compares with it. Throws
/// Error(data) if the run was trained on another corpus or with another tokenizer.
void keep_identity(const std::filesystem::path& run, const Corpora& corpora);

}  // namespace farsight
