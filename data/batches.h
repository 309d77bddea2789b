// MQAR examples in batches of equal-length rows: no mask, and no padding but what packing cannot fill.
//
// A training step takes a global batch, a random sample of all cells (so long and short examples
// weigh as the paper's mixed batches do), and computes it in micro-batches: one length each, or, when
// packed, rows as long as the longest example with shorter ones side by side. The
// loss of every micro-batch is a sum divided by the labels of the whole global batch, which makes
// the gradient independent of how it was cut.
#pragma once

#include <cstdint>
#include <vector>

#include "data/mqar.h"

namespace farsight {

/// Which example: its cell's index in the task, and its number in that cell.
struct ExampleId {
  std::size_t cell = 0;
  std::uint64_t sample = 0;
  friend bool operator==(const ExampleId&, const ExampleId&) = default;
};

struct Batch {
  int rows = 0;
  int length = 0;                    ///< of every row, in tokens
  std::vector<std::int32_t> tokens;  ///< [rows, length]
  /// One a row; of a packed batch, in the order of rows and within them.
  std::vector<ExampleId> examples;
  std::vector<std::int32_t> label_rows;  ///< [labels] row*length + position of the logits scored
  std::vector<std::int32_t> targets;     ///< [labels] the token expected there
  std::vector<std::int32_t> pairs;       ///< [labels] the pair of its example that it belongs to

  /// [rows, length] place of every token in its example, when rows hold several; else empty. What
  /// fills the end of a row begins at 0 too: no model may look over a 0.
  std::vector<std::int32_t> positions = {};

  /// [rows, length] which of the global batch's tokens each is, counted over all ranks; or empty. What
  /// is drawn for a token beside the data, such as its dropout, belongs to this number, wherever the
  /// token is computed. Fill has 0.
  std::vector<std::uint32_t> numbers = {};

  bool packed() const { return !positions.empty(); }
  std::int64_t labels() const { return static_cast<std::int64_t>(targets.size()); }
  friend bool operator==(const Batch&, const Batch&) = default;
};

/// Where the examples of a batch go, which says all about it: its numbers follow.
struct BatchPlan {
  int rows = 0;
  int length = 0;  ///< of every row, in tokens
  bool packed = false;
  std::int64_t labels = 0;
  std::vector<ExampleId> examples;         ///< by place
  std::vector<std::uint32_t> firsts = {};  ///< of each example: Batch::numbers of its first token
  /// Each example, by place, and of a packed batch what fills the ends of rows, as gaps.
  std::vector<MqarEntry> entries;
};

/// Batch::numbers of its batch; empty where `firsts` is.
std::vector<std::uint32_t> numbers_of(const BatchPlan& plan);

/// A rank of a data-parallel run.
struct Shard {
  int rank = 0;
  int world = 1;
};

/// GlobalBatch::key: from seed and step, so that a resumed run draws the same numbers again, on any
/// number of ranks.
std::uint64_t pass_key(std::uint64_t seed, std::int64_t step);

struct GlobalBatch {
  std::int64_t tokens = 0;           ///< of all ranks
  std::int64_t labels = 0;           ///< of all ranks: what the loss is divided by
  std::vector<Batch> micro_batches;  ///< this rank's, longest rows first; may be empty
  /// Of the random numbers that the step draws beside its data, such as dropout.
  std::uint64_t key = 0;

  /// In place of micro_batches where the device that trains makes the examples itself
  /// (ops/mqar_generate.h); what it needs beside the plans is the task's.
  std::vector<BatchPlan> plans = {};
  MqarIds ids = {};
  std::vector<std::uint64_t> slot_sums = {};  ///< PowerLawSlots::sums
};

struct TrainLoaderOptions {
  std::uint64_t seed = kDefaultSeed;
  std::int64_t examples_per_cell = kPaperTrainExamples;
  std::int64_t batch_size = 160;       ///< examples of a global batch
  std::int64_t micro_tokens = 16'384;  ///< at most, in a micro-batch; one row always fits
  bool pack = false;                   ///< several short examples in a row
  bool plan_only = false;              ///< no micro-batches, but their plans
};

/// The training data of a run as a function of the step: there is no state to save. Every epoch
/// visits the same examples in an order of its own; the last examples % batch_size of that order
/// are left out, as in the paper's step counts.
class TrainLoader {
 public:
  /// Fails with ExitCode::data if the options admit no batch.
  TrainLoader(MqarTask task, const TrainLoaderOptions& options);

  const MqarTask& task() const { return task_; }
  std::int64_t batch_size() const { return options_.batch_size; }
  std::int64_t examples_per_epoch() const;
  std::int64_t tokens_per_epoch() const;
  std::int64_t labels_per_epoch() const;
  std::int64_t steps_per_epoch() const { return examples_per_epoch() / options_.batch_size; }

  /// The examples of step `step` >= 0 (counted over all epochs) by descending length, all ranks'.
  std::vector<ExampleId> examples_at(std::int64_t step) const;
  /// The batch of step `step`. Sorted by length, its rows go round the ranks: rank r of R takes
  /// rows r, r + R, ..., which gives every rank about the same work.
  GlobalBatch at(std::int64_t step, Shard shard = {}) const;

 private:
  MqarTask task_;
  TrainLoaderOptions options_;
};

/// The first `examples` examples of one cell in order, in batches of at most `max_tokens` tokens
/// (at least one row). `seed` matters for the training split only.
std::vector<Batch> evaluation_batches(const MqarTask& task, Split split, std::size_t cell,
                                      std::int64_t examples, std::int64_t max_tokens,
                                      std::uint64_t seed = kDefaultSeed);

}  // namespace farsight
