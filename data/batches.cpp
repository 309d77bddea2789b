#include "data/batches.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
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

/// A batch whose row r holds the examples rows[r] of `ids`, side by side.
BatchPlan plan_batch(const MqarTask& task, Split split, std::uint64_t seed,
                     std::span<const ExampleId> ids, std::span<const std::vector<std::size_t>> rows,
                     int length, bool packed) {
  BatchPlan plan;
  plan.rows = static_cast<int>(rows.size());
  plan.length = length;
  plan.packed = packed;
  std::int32_t token = 0;
  const auto place = [&](MqarEntry entry, int labels) {
    entry.first_token = token;
    entry.first_label = static_cast<std::int32_t>(plan.labels);
    token += entry.layout.length;
    plan.labels += labels;
    plan.entries.push_back(entry);
  };
  for (const std::vector<std::size_t>& row : rows) {
    int left = length;
    for (const std::size_t i : row) {
      plan.examples.push_back(ids[i]);
      place(entry_of(task, split, seed, ids[i].cell, ids[i].sample),
            labels_per_example(task, task.cells[ids[i].cell], split));
      left -= length_of(task, ids[i]);
    }
    if (left > 0) place({.layout = {.length = left}}, 0);
  }
  return plan;
}

/// `ids` by descending length, several in a row where they differ.
std::vector<BatchPlan> plan_packed_batches(const MqarTask& task, std::uint64_t seed,
                                           std::span<const ExampleId> ids,
                                           std::int64_t max_tokens) {
  std::vector<BatchPlan> plans;
  if (ids.empty()) return plans;
  std::vector<int> lengths;
  for (const ExampleId& id : ids) {
    lengths.push_back(length_of(task, id));
  }
  const int length = lengths.front();
  const bool shared = lengths.back() < length;  // else every example fills a row
  const std::vector<std::vector<std::size_t>> rows = pack_first_fit(lengths, length);
  const auto most = static_cast<std::size_t>(std::max<std::int64_t>(1, max_tokens / length));
  for (std::size_t begin = 0; begin < rows.size(); begin += most) {
    const std::size_t count = std::min(most, rows.size() - begin);
    plans.push_back(plan_batch(task, Split::train, seed, ids, std::span(rows).subspan(begin, count),
                               length, shared));
  }
  return plans;
}

/// Cuts a list of examples, in its order, wherever the length changes or a batch is full.
std::vector<BatchPlan> plan_batches(const MqarTask& task, Split split, std::uint64_t seed,
                                    std::span<const ExampleId> ids, std::int64_t max_tokens) {
  std::vector<BatchPlan> plans;
  std::vector<std::vector<std::size_t>> rows;
  for (std::size_t begin = 0; begin < ids.size(); begin += rows.size()) {
    const int length = length_of(task, ids[begin]);
    const auto most = static_cast<std::size_t>(std::max<std::int64_t>(1, max_tokens / length));
    const std::size_t end = begin + std::min(most, ids.size() - begin);
    rows.clear();
    for (std::size_t i = begin; i < end && length_of(task, ids[i]) == length; i++) {
      rows.push_back({i});
    }
    plans.push_back(plan_batch(task, split, seed, ids, rows, length, false));
  }
  return plans;
}

Batch make_batch(const MqarTask& task, Split split, std::uint64_t seed, const BatchPlan& plan) {
  Batch batch;
  batch.rows = plan.rows;
  batch.length = plan.length;
  batch.examples = plan.examples;
  batch.numbers = numbers_of(plan);
  std::vector<const MqarEntry*> places;  // of the examples, gaps left out
  for (const MqarEntry& entry : plan.entries) {
    if (entry.layout.pairs > 0) places.push_back(&entry);
    if (plan.packed) count_up(batch.positions, entry.layout.length);
  }
  const std::size_t labels = static_cast<std::size_t>(plan.labels);
  batch.tokens.resize(static_cast<std::size_t>(plan.rows) * static_cast<std::size_t>(plan.length));
  batch.label_rows.resize(labels);
  batch.targets.resize(labels);
  batch.pairs.resize(labels);
  parallel_for(static_cast<std::int64_t>(places.size()), [&](std::int64_t i) {
    const MqarEntry& place = *places[static_cast<std::size_t>(i)];
    const ExampleId& id = plan.examples[static_cast<std::size_t>(i)];
    const std::size_t label = static_cast<std::size_t>(place.first_label);
    const ExampleRoom room{.tokens = batch.tokens.data() + place.first_token,
                           .label_rows = batch.label_rows.data() + label,
                           .targets = batch.targets.data() + label,
                           .pairs = batch.pairs.data() + label};
    generate_into(task, split, seed, id.cell, id.sample, room);
    const std::size_t end =
        label + static_cast<std::size_t>(labels_per_example(task, task.cells[id.cell], split));
    for (std::size_t j = label; j < end; j++) {
      batch.label_rows[j] += place.first_token;
    }
  });
  return batch;
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

std::uint64_t pass_key(std::uint64_t seed, std::int64_t step) {
  return philox_key(philox_key(seed, hash_name("pass")), static_cast<std::uint64_t>(step) << 16);
}

std::vector<std::uint32_t> numbers_of(const BatchPlan& plan) {
  std::vector<std::uint32_t> numbers;
  if (plan.firsts.empty()) return numbers;
  numbers.resize(static_cast<std::size_t>(plan.rows) * static_cast<std::size_t>(plan.length));
  std::size_t example = 0;
  for (const MqarEntry& entry : plan.entries) {
    if (entry.layout.pairs == 0) continue;  // fill
    const auto begin = numbers.begin() + entry.first_token;
    std::iota(begin, begin + entry.layout.length, plan.firsts[example++]);
  }
  return numbers;
}

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
    labels += labels_per_example(task_, cell, Split::train) * options_.examples_per_cell;
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
  global.key = pass_key(options_.seed, step);
  std::vector<ExampleId> mine;
  std::map<std::pair<std::size_t, std::uint64_t>, std::uint32_t> firsts;  // of mine
  int turn = 0;
  for (const ExampleId& id : examples_at(step)) {
    if (turn == shard.rank)
      firsts[{id.cell, id.sample}] = static_cast<std::uint32_t>(global.tokens);
    global.tokens += length_of(task_, id);
    global.labels += labels_per_example(task_, task_.cells[id.cell], Split::train);
    if (turn == shard.rank) mine.push_back(id);
    turn = (turn + 1) % shard.world;
  }
  std::vector<BatchPlan> plans =
      options_.pack ? plan_packed_batches(task_, options_.seed, mine, options_.micro_tokens)
                    : plan_batches(task_, Split::train, options_.seed, mine, options_.micro_tokens);
  for (BatchPlan& plan : plans) {
    for (const ExampleId& id : plan.examples)
      plan.firsts.push_back(firsts.at({id.cell, id.sample}));
  }
  if (options_.plan_only) {
    global.plans = std::move(plans);
    global.ids = task_.ids();
    global.slot_sums = task_.query_slots.sums();
    return global;
  }
  for (const BatchPlan& plan : plans) {
    global.micro_batches.push_back(make_batch(task_, Split::train, options_.seed, plan));
  }
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
  std::vector<Batch> batches;
  for (const BatchPlan& plan : plan_batches(task, split, seed, ids, max_tokens)) {
    batches.push_back(make_batch(task, split, seed, plan));
  }
  return batches;
}

}  // namespace farsight
