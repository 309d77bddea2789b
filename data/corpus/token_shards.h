// A tokenised corpus on disk: documents' token ids, one after another, in memory-mapped files.
//
//   TokenShards corpus = TokenShards::open(folder);
//   corpus.require_tokenizer(tokenizer.fingerprint());
//   corpus.require_vocabulary(model_vocabulary);
//   const TokenBlocks blocks = corpus.blocks(2048);
//   std::vector<std::int32_t> row(2048);
//   blocks.copy(b, row);                               // 0 <= b < blocks.size(); any thread
//
// On disk:
//   folder/manifest.json         inputs (name, size, XXH3), tokenizer, reading, packing, counts, shards
//   folder/shard-00000.tokens    header, u64 token ends of its documents, ids as u16 or u32
//
// How documents become blocks was decided when the folder was built (Packing): the documents of a
// group are concatenated, the group is cut into blocks, and what is left of it is dropped
// (the authors: groups of 1,000 documents, blocks of 2,048, nothing between documents).
//
// Errors: Error(storage) for a folder that is none, Error(corrupt) naming file and byte for one that
// is damaged, Error(data) for one that does not fit the tokenizer or the model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/corpus/shard_manifest.h"

namespace farsight {

class TokenBlocks;

class TokenShards {
 public:
  /// What open() looks at: sizes and headers alone, or also the hash of every byte.
  enum class Check { sizes, hashes };
  static TokenShards open(const std::filesystem::path& folder, Check check = Check::sizes);

  const ShardManifest& manifest() const;
  std::int64_t tokens() const { return manifest().tokens; }
  std::int64_t documents() const { return manifest().documents; }
  /// The largest id in it; -1 when there are no tokens.
  std::int64_t largest_id() const { return manifest().largest_id; }
  const std::string& tokenizer_fingerprint() const { return manifest().tokenizer.fingerprint; }

  /// Throws Error(data) unless it was tokenised with this tokenizer.
  void require_tokenizer(std::string_view fingerprint) const;
  /// Throws Error(data) when it has ids that a model of `vocabulary` rows has no row for.
  void require_vocabulary(std::int64_t vocabulary) const;

  /// The tokens [first, first + to.size()) of the whole corpus. Any thread.
  void copy(std::int64_t first, std::span<std::int32_t> to) const;
  /// The tokens of document `index`, [begin, end) within the whole corpus.
  struct Range {
    std::int64_t begin = 0, end = 0;
  };
  Range document(std::int64_t index) const;

  /// All blocks of `length` >= 1 tokens, in the order of the corpus.
  TokenBlocks blocks(std::int64_t length) const;

 private:
  friend class TokenBlocks;
  struct Files;
  explicit TokenShards(std::shared_ptr<const Files> files) : files_(std::move(files)) {}
  std::shared_ptr<const Files> files_;
};

/// A view: cheap to copy, keeps the files mapped, read by any number of threads.
class TokenBlocks {
 public:
  std::int64_t size() const { return count_; }
  std::int64_t length() const { return length_; }
  /// The tokens of block 0 <= b < size(). `to` has length() elements.
  void copy(std::int64_t b, std::span<std::int32_t> to) const;
  std::vector<std::int32_t> operator[](std::int64_t b) const;
  /// `count` blocks from `first`: a validation set cut to 1,000, or the rest that trains.
  TokenBlocks part(std::int64_t first, std::int64_t count) const;
  /// Tokens that no block has: what is left of the groups.
  std::int64_t dropped_tokens() const;

 private:
  friend class TokenShards;
  /// A group's first token and first block.
  struct Group {
    std::int64_t first_token = 0, first_block = 0;
  };
  TokenBlocks(TokenShards shards, std::int64_t length);

  TokenShards shards_;
  std::int64_t length_ = 0, first_ = 0, count_ = 0;
  std::int64_t all_ = 0;  // blocks of the whole corpus
  std::shared_ptr<const std::vector<Group>> groups_;
};

}  // namespace farsight
