// Text in batches: rows of `length` tokens, in which every position but the last is asked for the
// token that comes next (2,047 labels of 2,048 tokens). Nothing is padded, and nothing is reset where
// a row holds several documents.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/train_data.h"

namespace farsight {

/// Rows of token ids of one length, wherever they lie.
struct TextBlocks {
  std::int64_t count = 0;
  std::int64_t length = 0;  ///< tokens of a block, >= 2
  /// Copies block `block` in [0, count) to `to`, which has room for `length` ids. Thread-safe.
  std::function<void(std::int64_t block, std::span<std::int32_t> to)> read;
};

/// Blocks first .. first + count - 1.
TextBlocks part_of(const TextBlocks& blocks, std::int64_t first, std::int64_t count);

/// These blocks as the rows of a batch, in this order; its first rows * (length - 1) labels are
/// those of the first row, by position, then those of the next.
Batch text_batch(const TextBlocks& blocks, std::span<const std::int64_t> rows);

struct TextLoaderOptions {
  std::uint64_t seed = kDefaultSeed;
  std::int64_t batch_size = 256;       ///< blocks of a global batch
  std::int64_t micro_tokens = 65'536;  ///< at most, in a micro-batch; one row always fits
};

/// Every epoch visits the same blocks in an order of its own, Permutation(count, key of the epoch);
/// the last count % batch_size of that order are left out. Step s takes places s * batch_size ... of
/// the order, and rank r of R takes of them those whose place in the batch is r modulo R: which
/// blocks a step learns from depends on neither R nor micro_tokens.
class TextLoader {
 public:
  /// Fails with ExitCode::data if there are fewer blocks than a batch has, or more than 2^32 tokens in
  /// one.
  TextLoader(TextBlocks blocks, const TextLoaderOptions& options);

  std::int64_t steps_per_epoch() const { return blocks_.count / options_.batch_size; }
  /// The blocks of step `step` >= 0, all ranks', in order.
  std::vector<std::int64_t> blocks_at(std::int64_t step) const;
  GlobalBatch at(std::int64_t step, Shard shard = {}) const;

  const TextBlocks& blocks() const { return blocks_; }
  const TextLoaderOptions& options() const { return options_; }

 private:
  TextBlocks blocks_;
  TextLoaderOptions options_;
};

TrainData train_data_of(TextLoader loader);

}  // namespace farsight
