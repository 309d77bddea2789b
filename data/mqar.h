// Multi-query associative recall: key-value pairs, then queries for each key, in a sea of filler.
//
//   standard, L=16, KV=2   k0 v0 k1 v1 | k0 .  .  .  .  .  k1 .  .  .  .  .
//   label                                 v0                   v1
//
// A query is [key, filler]; its label sits on the token after the key (unshifted, as stored by the
// paper's release) and is predicted from the key's logits. The value itself is never shown again.
// Placements differ in where the pairs lie (the context) and where queries may follow:
//
//   placement pairs                                             queries
//   standard  contiguous from token 0                           after the pairs
//   last      contiguous, ending with the first half            second half
//   shuffle   at distinct slots of the first half,              second half
//             uniform, in the order drawn
//
// With separators, keys of k and values of v tokens, pairs and queries are blocks ("K2V2"):
//
//   pair    10 key key 11 value value 10        10 <SEP>, 11 <SEP_KV>, 12 a value's placeholder
//   query   10 key key 11  12    12   10
//   label                 value value 10        the last one in the training split alone
//
// The v value tokens are predicted in parallel, from 11 and from the placeholders before the last.
//
// Pair j goes to the j-th query slot drawn by the power law of data/sampling.h. Examples are a pure
// function of (split, seed, cell, sample): there are no files, and any order of asking gives the
// same data. What else is declared of a task: data/task_description.h; tasks that are not of
// this kind (copying and others): data/other_tasks.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/mqar_draws.h"
#include "data/sampling.h"
#include "data/task_description.h"

namespace farsight {

/// One configuration of a task: sequences of `length` tokens that hold `pairs` pairs.
struct Cell {
  int length = 0;
  int pairs = 0;
  friend bool operator==(const Cell&, const Cell&) = default;
};
/// "64x4": length x pairs, as cells are written everywhere.
std::string cell_name(const Cell& cell);

struct MqarTask {
  std::string name;
  TaskDescription description;
  bool separator_target = true;  ///< where there are separators: a further label in training
  IdRange keys, values, filler;  ///< core/mqar_draws.h
  std::vector<Cell> cells;
  /// Of each cell, its place in the list that seeds are counted by: cells that are left out for
  /// their size still have their place there.
  std::vector<std::size_t> places;
  PowerLawSlots query_slots;  ///< for the longest query region of any cell

  MqarIds ids() const { return {keys, values, filler}; }
  /// The smallest model vocabulary that holds every id of the task.
  int model_vocabulary() const;
};

/// What a task needs beside its description. The defaults are the paper's.
struct TaskSizes {
  int vocabulary = 20'000;  ///< V
  std::vector<int> lengths = {64, 128, 256, 512};
  std::vector<int> pairs = {1, 2, 4, 8, 16, 32, 64, 128};
  bool zero_filler = false;      ///< what is neither pair nor query stays 0
  bool separator_target = true;  ///< the training split's label on the token after a value
};

/// The task that a description and sizes say. Ids:
///
///   without separators   keys 1 .. V/2-1,       values V/2 .. V-1        } filler 20 .. V+19
///   with separators      keys 20 .. V/2+19,     values V/2+20 .. V+19    }
///
/// which are the released generator's at V = 20,000, kept for every V: a model needs V + 20 ids.
///
/// Cells: those that the description lists, or all of lengths x pairs with pairs * slot <= L/2
/// (of equal-pairs twice the pairs; of sections pairs * slot <= L/8). Cells of lengths x pairs that
/// do not fit are left out; a listed one is refused.
/// Fails with ExitCode::data, and a sentence, where there is no such task.
MqarTask make_task(std::string_view name, const TaskDescription& description,
                   const TaskSizes& sizes);

/// The named task (data/task_description.h). Throws Error(internal) if there is none.
MqarTask make_named_task(std::string_view name, const TaskSizes& sizes = {});

/// All (L, KV) with KV <= L/4, L ascending and then KV ascending. Fails with ExitCode::data if a
/// length admits none of the pair counts, or a pair count none of the lengths.
std::vector<Cell> position_grid(std::vector<int> lengths, std::vector<int> pairs);

/// The task standard, last or shuffle on these cells.
/// Fails with ExitCode::data if a cell breaks KV <= L/4 or V has too few keys for the pairs.
MqarTask make_position_task(Placement placement, int vocabulary, std::vector<Cell> cells);

/// The paper's: V = 20,000, L in {64, 128, 256, 512}, KV in powers of two up to L/4; 26 cells.
MqarTask paper_position_task(Placement placement);

enum class Split { train, valid, test };
inline constexpr std::uint64_t kDefaultSeed = 42;
inline constexpr std::int64_t kPaperTrainExamples = 20'000;  ///< of each cell
inline constexpr std::int64_t kPaperTestExamples = 100;      ///< of each cell; also to validate

/// Train: seed + place, valid: 1234 + place, test: 4567 + place of a cell in its grid. A run's seed
/// changes its training data alone: every run is judged by the same examples.
std::uint64_t split_seed(Split split, std::uint64_t seed, std::size_t place);

/// Of a label that belongs to no value: the closing <SEP> of the training split. It is learned, and
/// never scored.
inline constexpr int kNoPair = -1;

struct Label {
  int position = 0;         ///< of the token to be predicted; the logits one before it are scored
  std::int32_t target = 0;  ///< that token
  int pair = 0;             ///< of the example, in key order; a pair of v value tokens has v labels
  friend bool operator==(const Label&, const Label&) = default;
};

/// Where a pair lies: positions of the first token of its key and of its value in the context, and
/// of its key in its query; the first label of its value is at query_key + pair_value - pair_key.
/// Pairs that nobody asks for have the query -1. Other tasks (data/other_tasks.h): where the tokens
/// to recall and what they are found by lie, and what asks for them.
struct PairPlaces {
  int pair_key = 0;
  int pair_value = 0;
  int query_key = 0;
  friend bool operator==(const PairPlaces&, const PairPlaces&) = default;
};

struct Example {
  std::vector<std::int32_t> tokens;  ///< [L]
  std::vector<Label> labels;         ///< by ascending position; the labels of a pair are adjacent
  /// Pairs in key order (the order of Label::pair), then what else is stored: the decoys of
  /// equal-pairs; of sections, the second, third and fourth time of all pairs in their order.
  std::vector<PairPlaces> pairs;
  friend bool operator==(const Example&, const Example&) = default;
};

/// Labels of every example of a cell.
int labels_per_example(const MqarTask& task, const Cell& cell, Split split);

/// Whether examples follow from core/mqar_draws.h alone, as a device can make them.
bool follows_layout(const MqarTask& task);

/// Of a task that follows a layout.
MqarLayout layout_of(const MqarTask& task, const Cell& cell, Split split = Split::test);

/// The address that sample `sample` < 2^32 of a cell follows from, at the begin of a batch. Of a
/// task that follows no layout, the layout has length and pairs only.
MqarEntry entry_of(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                   std::uint64_t sample);

/// That sample. Thread-safe.
Example generate(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                 std::uint64_t sample);

/// The same straight into a batch: tokens [L], and for each label its row within the example, its
/// target and its pair.
struct ExampleRoom {
  std::int32_t* tokens = nullptr;
  std::int32_t *label_rows = nullptr, *targets = nullptr, *pairs = nullptr;
};
void generate_into(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                   std::uint64_t sample, const ExampleRoom& room);

/// Everything random in an example but its filler, for other builders and for tests: what
/// MqarScratch holds.
struct PairDraws {
  std::vector<std::int32_t> keys;    ///< [stored, k]
  std::vector<std::int32_t> values;  ///< [sections, stored, v]
  std::vector<int> pair_slots;       ///< [stored]
  std::vector<int> query_slots;      ///< [pairs]
};
PairDraws draw_pairs_of(const MqarTask& task, const MqarLayout& layout, PhiloxSequence& random);

/// Puts pairs and queries in their slots; what is left stays kEmpty. Throws Error(internal) for
/// draws that do not fit the layout, or a slot used twice.
Example lay_out(const MqarLayout& layout, const PairDraws& draws);

}  // namespace farsight
