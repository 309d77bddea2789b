// Text in batches: labels, order of epochs, shares of ranks, refusals.
#include "data/text_loader.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "tests/temporary_folder.h"

namespace farsight {
namespace {

/// Block b is b * 100, b * 100 + 1, ...
TextBlocks counted(std::int64_t count, std::int64_t length) {
  return {
      .count = count, .length = length, .read = [](std::int64_t block, std::span<std::int32_t> to) {
        for (std::size_t i = 0; i < to.size(); i++) {
          to[i] = static_cast<std::int32_t>(block * 100 + static_cast<std::int64_t>(i));
        }
      }};
}

std::vector<std::int64_t> blocks_in(const GlobalBatch& batch) {
  std::vector<std::int64_t> blocks;
  for (const Batch& micro : batch.micro_batches) {
    for (std::size_t at = 0; at < micro.tokens.size(); at += static_cast<std::size_t>(micro.length))
      blocks.push_back(micro.tokens[at] / 100);
  }
  return blocks;
}

TEST_CASE("text loader: every position but a block's last is asked for the next token") {
  const std::vector<std::int64_t> rows = {4, 0, 2};
  const Batch batch = text_batch(counted(5, 7), rows);
  CHECK(batch.rows == 3);
  CHECK(batch.length == 7);
  REQUIRE(batch.labels() == 3 * 6);
  for (std::size_t i = 0; i < batch.targets.size(); i++) {
    const auto at = static_cast<std::size_t>(batch.label_rows[i]);
    CHECK(at % 7 < 6);
    CHECK(at == i / 6 * 7 + i % 6);
    CHECK(batch.targets[i] == batch.tokens[at + 1]);
    CHECK(batch.tokens[at] / 100 == rows[i / 6]);
  }
}

TEST_CASE("text loader: an epoch has every block at most once, and each epoch its own order") {
  const TextLoader loader(counted(23, 5), {.seed = 7, .batch_size = 4, .micro_tokens = 10});
  CHECK(loader.steps_per_epoch() == 5);
  std::vector<std::vector<std::int64_t>> epochs(3);
  for (std::int64_t step = 0; step < 15; step++) {
    const GlobalBatch batch = loader.at(step);
    CHECK(batch.tokens == 20);
    CHECK(batch.labels == 16);
    CHECK(batch.micro_batches.size() == 2);
    CHECK(blocks_in(batch) == loader.blocks_at(step));
    auto& epoch = epochs[static_cast<std::size_t>(step / 5)];
    std::ranges::copy(blocks_in(batch), std::back_inserter(epoch));
  }
  std::set<std::int64_t> seen;
  for (const auto& epoch : epochs) {
    CHECK(std::set<std::int64_t>(epoch.begin(), epoch.end()).size() == 20);
    seen.insert(epoch.begin(), epoch.end());
  }
  CHECK(epochs[0] != epochs[1]);
  CHECK(seen.size() == 23);  // what one epoch leaves out comes in another
  const TextLoader other(counted(23, 5), {.seed = 8, .batch_size = 4, .micro_tokens = 10});
  CHECK(other.blocks_at(0) != loader.blocks_at(0));
}

TEST_CASE("text loader: the ranks of any world share the blocks of one process") {
  const TextLoader loader(counted(40, 5), {.seed = 3, .batch_size = 7, .micro_tokens = 15});
  for (const int world : {1, 2, 3, 7, 9}) {
    std::vector<std::int64_t> together(7, -1);
    std::set<std::uint64_t> keys;
    for (int rank = 0; rank < world; rank++) {
      const GlobalBatch share = loader.at(2, {rank, world});
      CHECK(share.labels == 28);  // of all ranks
      keys.insert(share.key);
      const std::vector<std::int64_t> mine = blocks_in(share);
      for (std::size_t i = 0; i < mine.size(); i++) {
        together.at(static_cast<std::size_t>(rank) + i * static_cast<std::size_t>(world)) = mine[i];
      }
    }
    CHECK(together == loader.blocks_at(2));
    CHECK(keys.size() == 1);  // rows are numbered through all ranks
  }
}

TEST_CASE("text loader: a part is counted from its own beginning") {
  const TextBlocks part = part_of(counted(9, 4), 6, 3);
  CHECK(part.count == 3);
  std::vector<std::int32_t> row(4);
  part.read(1, row);
  CHECK(row == std::vector<std::int32_t>{700, 701, 702, 703});
  CHECK_THROWS(part_of(counted(9, 4), 7, 3));
}

TEST_CASE("text loader: less text than a batch is refused") {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([] { TextLoader(counted(3, 8), {.batch_size = 4}); }, &code);
  CHECK(code == ExitCode::data);
  CHECK(message.find("3 blocks of 8 tokens, fewer than a batch (train.batch_size = 4)") !=
        std::string::npos);
}

TEST_CASE("text loader: every token of a step has a number, or the step is refused") {
  ExitCode code = ExitCode::ok;
  const TextBlocks blocks{.count = 1 << 30, .length = 4096, .read = {}};
  const auto message = error_of([&] { TextLoader(blocks, {.batch_size = (1 << 20) + 1}); }, &code);
  CHECK(code == ExitCode::data);
  CHECK(message.find("more than 2^32 tokens") != std::string::npos);
  CHECK_NOTHROW(TextLoader(blocks, {.batch_size = 1 << 20}));
}

}  // namespace
}  // namespace farsight
