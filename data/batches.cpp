#include "data/batches.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "core/check.h"
#include "core/parallel.h"
#include "data/packing.h"
#include "data/permutation.h"

namespace farsight {
namespace {

int length_of(const MqarTask& task, const ExampleId& id) {
  return task.cells[id.cell].length;
}

std::vector<Example> generate_all(const MqarTask& task, Split split, std::uint64_t seed,
                                  std::span<const ExampleId> ids) {
  std::vector<Example> examples(ids.size());
  parallel_for(static_cast<std::int64_t>(ids.size()), [&](std::int64_t i) {
    const std::size_t at = static_cast<std::size_t>(i);
    examples[at] = generate(task, split, seed, ids[at].cell, ids[at].sample);
  });
  return examples;
}

/// At the end of the batch's tokens.
void append(Batch& batch, const ExampleId& id, const Example& example) {
  const std::int32_t begin = static_cast<std::int32_t>(batch.tokens.size());
  batch.examples.push_back(id);
  batch.tokens.insert(batch.tokens.end(), example.tokens.begin(), example.tokens.end());
  for (const Label& label : example.labels) {
    batch.label_rows.push_back(begin + label.position - 1);
    batch.targets.push_back(label.target);
    batch.pairs.push_back(label.pair);
  }
}

Batch make_batch(const MqarTask& task, Split split, std::uint64_t seed,
                 std::span<const ExampleId> ids) {
  const std::vector<Example> examples = generate_all(task, split, seed, ids);
  Batch batch;
  batch.rows = static_cast<int>(ids.size());
  batch.length = length_of(task, ids.front());
  batch.tokens.reserve(ids.size() * static_cast<std::size_t>(batch.length));
  for (std::size_t i = 0; i < ids.size(); i++) {
    append(batch, ids[i], examples[i]);
  }
  return batch;
}

/// Rows that hold the examples rows[r] of `ids`, which are as long as `lengths` says.
Batch make_packed_batch(const MqarTask& task, std::uint64_t seed, std::span<const ExampleId> ids,
                        std::span<const int> lengths, int length,
                        std::span<const std::vector<std::size_t>> rows) {
  std::vector<ExampleId> mine;
  for (const std::vector<std::size_t>& row : rows) {
    for (std::size_t i : row) {
      mine.push_back(ids[i]);
    }
  }
  const std::vector<Example> examples = generate_all(task, Split::train, seed, mine);
  Batch batch;
  batch.rows = static_cast<int>(rows.size());
  batch.length = length;
  std::size_t next = 0;
  for (const std::vector<std::size_t>& row : rows) {
    int left = length;
    for (std::size_t i : row) {
      append(batch, ids[i], examples[next++]);
      count_up(batch.positions, lengths[i]);
      left -= lengths[i];
    }
    batch.tokens.resize(batch.tokens.size() + static_cast<std::size_t>(left));
    count_up(batch.positions, left);
  }
  return batch;
}

/// `ids` by descending length, several in a row.
std::vector<Batch> make_packed_batches(const MqarTask& task, std::uint64_t seed,
                                       std::span<const ExampleId> ids, std::int64_t max_tokens) {
  std::vector<Batch> batches;
  if (ids.empty()) return batches;
  std::vector<int> lengths;
  for (const ExampleId& id : ids) {
    lengths.push_back(length_of(task, id));
  }
  const int length = lengths.front();
  const std::vector<std::vector<std::size_t>> rows = pack_first_fit(lengths, length);
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(1, max_tokens / length));
  for (std::size_t begin = 0; begin < rows.size(); begin += most) {
    const std::size_t count = std::min(most, rows.size() - begin);
    batches.push_back(
        make_packed_batch(task, seed, ids, lengths, length, std::span(rows).subspan(begin, count)));
  }
  return batches;
}

/// Cuts a list of examples, in its order, wherever the length changes or a batch is full.
std::vector<Batch> make_batches(const MqarTask& task, Split split, std::uint64_t seed,
                                std::span<const ExampleId> ids, std::int64_t max_tokens) {
  std::vector<Batch> batches;
  while (!ids.empty()) {
    const int length = length_of(task, ids.front());
    const std::size_t most =
        static_cast<std::size_t>(std::max<std::int64_t>(1, max_tokens / length));
    std::size_t rows = 1;
    while (rows < std::min(most, ids.size()) && length_of(task, ids[rows]) == length) {
      rows++;
    }
    batches.push_back(make_batch(task, split, seed, ids.first(rows)));
    ids = ids.subspan(rows);
  }
  return batches;
}

void require_max_tokens(std::int64_t max_tokens) {
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();  // label_rows are 32-bit
  require(max_tokens >= 1 && max_tokens <= kMost, ExitCode::data,
          "the tokens of a micro-batch must be 1 to {}, got {}", kMost, max_tokens);
}

void require_examples(std::int64_t examples) {
  constexpr std::int64_t kMost = std::int64_t{1} << 32;  // a sample's number has 32 bits
  require(examples >= 1 && examples <= kMost, ExitCode::data,
          "the examples per cell must be 1 to {}, got {}", kMost, examples);
}

}  // namespace

TrainLoader::TrainLoader(MqarTask task, const TrainLoaderOptions& options)
    : task_(std::move(task)), options_(options) {
  check(!task_.cells.empty(), "TrainLoader: task {} has no cell", task_.name);
  require_examples(options_.examples_per_cell);
  require_max_tokens(options_.micro_tokens);
  require(options_.batch_size >= 1 && options_.batch_size <= examples_per_epoch(), ExitCode::data,
          "the batch size must be 1 to {} (all examples: {} cells x {}), got {}",
          examples_per_epoch(), task_.cells.size(), options_.examples_per_cell,
          options_.batch_size);
}

std::int64_t TrainLoader::examples_per_epoch() const {
  return static_cast<std::int64_t>(task_.cells.size()) * options_.examples_per_cell;
}

std::int64_t TrainLoader::tokens_per_epoch() const {
  std::int64_t tokens = 0;
  for (const Cell& cell : task_.cells) {
    tokens += cell.length * options_.examples_per_cell;
  }
  return tokens;
}

std::int64_t TrainLoader::labels_per_epoch() const {
  std::int64_t labels = 0;
  for (const Cell& cell : task_.cells) {
    labels += labels_per_example(task_, cell) * options_.examples_per_cell;
  }
  return labels;
}

std::vector<ExampleId> TrainLoader::examples_at(std::int64_t step) const {
  check(step >= 0, "TrainLoader: step must not be negative, got {}", step);
  const std::uint64_t epoch = static_cast<std::uint64_t>(step / steps_per_epoch());
  const std::uint64_t seed = philox_key(options_.seed, hash_name("mqar/order"));
  const Permutation order(static_cast<std::uint64_t>(examples_per_epoch()),
                          philox_key(seed, epoch));
  const std::uint64_t per_cell = static_cast<std::uint64_t>(options_.examples_per_cell);
  const std::uint64_t begin =
      static_cast<std::uint64_t>(step % steps_per_epoch() * options_.batch_size);
  std::vector<ExampleId> ids(static_cast<std::size_t>(options_.batch_size));
  for (std::size_t i = 0; i < ids.size(); i++) {
    const std::uint64_t index = order(begin + i);
    ids[i] = {index / per_cell, index % per_cell};
  }
  // Longest first: a step that does not fit into memory says so at once.
  std::stable_sort(ids.begin(), ids.end(), [this](const ExampleId& a, const ExampleId& b) {
    return length_of(task_, a) > length_of(task_, b);
  });
  return ids;
}

GlobalBatch TrainLoader::at(std::int64_t step, Shard shard) const {
  check(shard.world >= 1 && shard.rank >= 0 && shard.rank < shard.world,
        "TrainLoader: rank must be below world, got rank {} of {}", shard.rank, shard.world);
  GlobalBatch global;
  std::vector<ExampleId> mine;
  int turn = 0;
  for (const ExampleId& id : examples_at(step)) {
    global.tokens += length_of(task_, id);
    global.labels += labels_per_example(task_, task_.cells[id.cell]);
    if (turn == shard.rank) mine.push_back(id);
    turn = (turn + 1) % shard.world;
  }
  global.micro_batches =
      options_.pack ? make_packed_batches(task_, options_.seed, mine, options_.micro_tokens)
                    : make_batches(task_, Split::train, options_.seed, mine, options_.micro_tokens);
  return global;
}

std::vector<Batch> evaluation_batches(const MqarTask& task, Split split, std::size_t cell,
                                      std::int64_t examples, std::int64_t max_tokens,
                                      std::uint64_t seed) {
  check(cell < task.cells.size(), "evaluation_batches: cell must be below {}, got {}",
        task.cells.size(), cell);
  require_examples(examples);
  require_max_tokens(max_tokens);
  std::vector<ExampleId> ids(static_cast<std::size_t>(examples));
  for (std::size_t i = 0; i < ids.size(); i++) {
    ids[i] = {cell, i};
  }
  return make_batches(task, split, seed, ids, max_tokens);
}

}  // namespace farsight
