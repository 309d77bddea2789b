#include "data/text_loader.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <utility>

#include "core/check.h"
#include "core/parallel.h"
#include "data/permutation.h"

namespace farsight {

TextBlocks part_of(const TextBlocks& blocks, std::int64_t first, std::int64_t count) {
  check(first >= 0 && count >= 0 && first + count <= blocks.count,
        "part_of: blocks {} to {} are not among {}", first, first + count - 1, blocks.count);
  return {.count = count,
          .length = blocks.length,
          .read = [read = blocks.read, first](std::int64_t block, std::span<std::int32_t> to) {
            read(first + block, to);
          }};
}

Batch text_batch(const TextBlocks& blocks, std::span<const std::int64_t> rows) {
  const std::int64_t length = blocks.length, labels = length - 1;
  const auto count = static_cast<std::int64_t>(rows.size());
  check(length >= 2, "text_batch: a block must have at least 2 tokens, got {}", length);
  check(count * length <= std::numeric_limits<std::int32_t>::max(),
        "text_batch: {} rows of {} tokens are more than a batch can number", count, length);
  Batch batch;
  batch.rows = static_cast<int>(count);
  batch.length = static_cast<int>(length);
  batch.tokens.resize(static_cast<std::size_t>(count * length));
  batch.label_rows.resize(static_cast<std::size_t>(count * labels));
  batch.targets.resize(batch.label_rows.size());
  parallel_for(count, [&](std::int64_t row) {
    std::int32_t* tokens = batch.tokens.data() + row * length;
    blocks.read(rows[static_cast<std::size_t>(row)], {tokens, static_cast<std::size_t>(length)});
    std::copy_n(tokens + 1, labels, batch.targets.data() + row * labels);
    std::int32_t* places = batch.label_rows.data() + row * labels;
    for (std::int64_t i = 0; i < labels; i++) {
      places[i] = static_cast<std::int32_t>(row * length + i);
    }
  });
  return batch;
}

TextLoader::TextLoader(TextBlocks blocks, const TextLoaderOptions& options)
    : blocks_(std::move(blocks)), options_(options) {
  check(options_.batch_size >= 1 && options_.micro_tokens >= 1,
        "TextLoader: batch_size and micro_tokens must be positive, got {} and {}",
        options_.batch_size, options_.micro_tokens);
  require(blocks_.count >= options_.batch_size, ExitCode::data,
          "the text has {} blocks of {} tokens, fewer than a batch (train.batch_size = {}); give "
          "more text, or a smaller --batch-size or --block",
          blocks_.count, blocks_.length, options_.batch_size);
  // Every token of a step has a number of its own (Batch::numbers).
  constexpr std::int64_t kMostTokens = std::int64_t{1} << 32;
  require(options_.batch_size <= kMostTokens / blocks_.length, ExitCode::data,
          "a step of {} blocks of {} tokens is more than 2^32 tokens; a smaller --batch-size or "
          "--block fits",
          options_.batch_size, blocks_.length);
}

std::vector<std::int64_t> TextLoader::blocks_at(std::int64_t step) const {
  check(step >= 0, "TextLoader: step must not be negative, got {}", step);
  const auto epoch = static_cast<std::uint64_t>(step / steps_per_epoch());
  const std::uint64_t seed = philox_key(options_.seed, hash_name("text/order"));
  const Permutation order(static_cast<std::uint64_t>(blocks_.count), philox_key(seed, epoch));
  const std::int64_t begin = step % steps_per_epoch() * options_.batch_size;
  std::vector<std::int64_t> blocks;
  for (std::int64_t i = begin; i < begin + options_.batch_size; i++) {
    blocks.push_back(static_cast<std::int64_t>(order(static_cast<std::uint64_t>(i))));
  }
  return blocks;
}

GlobalBatch TextLoader::at(std::int64_t step, Shard shard) const {
  check(shard.world >= 1 && shard.rank >= 0 && shard.rank < shard.world,
        "TextLoader: rank must be below world, got rank {} of {}", shard.rank, shard.world);
  const std::vector<std::int64_t> all = blocks_at(step);
  std::vector<std::int64_t> mine, places;  // blocks, and where they are in the batch
  for (auto i = static_cast<std::size_t>(shard.rank); i < all.size();
       i += static_cast<std::size_t>(shard.world)) {
    mine.push_back(all[i]);
    places.push_back(static_cast<std::int64_t>(i));
  }
  GlobalBatch global{.tokens = options_.batch_size * blocks_.length,
                     .labels = options_.batch_size * (blocks_.length - 1),
                     .micro_batches = {},
                     .key = pass_key(options_.seed, step)};
  const auto most =
      static_cast<std::size_t>(std::max<std::int64_t>(1, options_.micro_tokens / blocks_.length));
  for (std::size_t begin = 0; begin < mine.size(); begin += most) {
    const std::size_t count = std::min(most, mine.size() - begin);
    Batch& batch = global.micro_batches.emplace_back(
        text_batch(blocks_, std::span(mine).subspan(begin, count)));
    for (const std::int64_t place : std::span(places).subspan(begin, count)) {
      for (std::int64_t t = 0; t < blocks_.length; t++)
        batch.numbers.push_back(static_cast<std::uint32_t>(place * blocks_.length + t));
    }
  }
  return global;
}

TrainData train_data_of(TextLoader loader) {
  const auto shared = std::make_shared<const TextLoader>(std::move(loader));
  const std::int64_t count = shared->blocks().count, length = shared->blocks().length;
  return {.steps_per_epoch = shared->steps_per_epoch(),
          .tokens_per_epoch = count * length,
          .labels_per_epoch = count * (length - 1),
          .tokens_per_step = static_cast<double>(shared->options().batch_size * length),
          .mean_context = static_cast<double>(length + 1) / 2,
          .at = [shared](std::int64_t step, Shard shard) { return shared->at(step, shard); }};
}

}  // namespace farsight
