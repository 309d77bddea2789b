// The folder of a tokenised corpus while it is made: NAME.building, until all of it is there and it
// gets its name. Shards in it are whole; who comes after a killed build goes on behind them. It is
// made by one process at a time, which holds a lock in it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <vector>

#include "data/corpus/shard_file.h"
#include "data/corpus/shard_manifest.h"

namespace farsight {

class CorpusFolder {
 public:
  /// `key`: shards that others left are kept only if they have it. `wait` is called when another
  /// process makes the folder, before waiting for it. Throws Error(storage).
  CorpusFolder(const std::filesystem::path& folder, std::uint64_t key,
               const std::function<void()>& wait);
  CorpusFolder(const CorpusFolder&) = delete;
  CorpusFolder& operator=(const CorpusFolder&) = delete;
  ~CorpusFolder();

  /// The folder is there already: there is nothing to do.
  bool is_done() const { return done_; }
  /// Where the next shard begins.
  CorpusPlace next() const { return next_; }
  /// Counts of the shards so far.
  const ShardManifest& sums() const { return sums_; }

  /// Writes the next shard and empties `contents`. Of the header: `next` and the counts that the
  /// contents do not know.
  void add(ShardContents& contents, ShardHeader header);
  /// Writes the manifest, with the shards and their counts, and gives the folder its name.
  void publish(ShardManifest manifest);
  /// Removes all of it.
  void discard();

 private:
  bool lock(const std::function<void()>& wait);
  void unlock();
  bool keep_shard(std::int64_t number);
  void keep_whole_shards();
  void count(const ShardHeader& header, std::uint64_t bytes, std::uint64_t xxh3);

  std::filesystem::path folder_, building_;
  std::uint64_t key_;
  int lock_ = -1;
  bool done_ = false;
  CorpusPlace next_ = {};
  ShardManifest sums_;
};

/// Throws Error(usage) unless the finished `folder` holds what `plan` (inputs, tokenizer, reading,
/// packing) would make: nothing is overwritten.
void require_same_corpus(const std::filesystem::path& folder, const ShardManifest& plan);

}  // namespace farsight
