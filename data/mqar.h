// Multi-query associative recall: key-value pairs, then queries for each key, in a sea of filler.
//
//   standard, L=16, KV=2   k0 v0 k1 v1 | k0 .  .  .  .  .  k1 .  .  .  .  .
//   label                                 v0                   v1
//
// A query is [key, filler]; its label sits on the token after the key (unshifted, as stored by the
// paper's release) and is predicted from the key's logits. The value itself is never shown again.
// The position tasks differ in where the pairs lie (the context) and where queries may follow:
//
//   task      pairs                                             queries          keys and values
//   standard  contiguous from token 0                           after the pairs  drawn without replacement
//   last      contiguous, ending with the first half            second half      without replacement
//   shuffle   at distinct 2-token slots of the first half,      second half      with replacement
//             uniform, in the order drawn
//
// Pair j goes to the j-th query slot drawn by the power law of data/sampling.h. Examples are a pure
// function of (split, seed, cell, sample): there are no files, and any order of asking gives the
// same data.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/mqar_draws.h"
#include "data/sampling.h"

namespace farsight {

enum class Placement { standard, last, shuffle };
inline constexpr std::array kPlacements = {Placement::standard, Placement::last,
                                           Placement::shuffle};
std::string_view placement_name(Placement placement);

/// One configuration of a task: sequences of `length` tokens that hold `pairs` pairs.
struct Cell {
  int length = 0;
  int pairs = 0;
  friend bool operator==(const Cell&, const Cell&) = default;
};

struct MqarTask {
  std::string name;
  Placement placement;
  IdRange keys, values, filler;  ///< core/mqar_draws.h
  std::vector<Cell> cells;       ///< a cell's index here is also its share of the seed
  PowerLawSlots query_slots;     ///< for the longest query region of any cell

  MqarIds ids() const { return {keys, values, filler}; }
  /// The smallest model vocabulary that holds every id of the task.
  int model_vocabulary() const;
};

/// All (L, KV) with KV <= L/4, L ascending and then KV ascending. Fails with ExitCode::data if a
/// length admits none of the pair counts, or a pair count none of the lengths.
std::vector<Cell> position_grid(std::vector<int> lengths, std::vector<int> pairs);

/// A position task over a vocabulary of V ids: keys 1 .. V/2-1, values V/2 .. V-1, filler
/// 20 .. V+19, which covers keys as well as values and reaches 20 ids further. This is the released
/// generator's rule at V = 20,000, kept for every V: a model needs V + 20 ids.
/// Fails with ExitCode::data if a cell breaks KV <= L/4 or V has too few keys for the pairs.
MqarTask make_position_task(Placement placement, int vocabulary, std::vector<Cell> cells);

/// The paper's: V = 20,000, L in {64, 128, 256, 512}, KV in powers of two up to L/4; 26 cells.
MqarTask paper_position_task(Placement placement);

enum class Split { train, valid, test };
inline constexpr std::uint64_t kDefaultSeed = 42;
inline constexpr std::int64_t kPaperTrainExamples = 20'000;  ///< of each cell
inline constexpr std::int64_t kPaperTestExamples = 100;      ///< of each cell; also to validate

/// Train: seed + cell, valid: 1234 + cell, test: 4567 + cell. A run's seed changes its training
/// data alone: every run is judged by the same examples.
std::uint64_t split_seed(Split split, std::uint64_t seed, std::size_t cell);

struct Label {
  int position = 0;         ///< of the token to be predicted; the logits one before it are scored
  std::int32_t target = 0;  ///< that token
  int pair = 0;             ///< of the example, in key order; a pair of v value tokens has v labels
  friend bool operator==(const Label&, const Label&) = default;
};

struct Example {
  std::vector<std::int32_t> tokens;  ///< [L]
  std::vector<Label> labels;         ///< by ascending position; the labels of a pair are adjacent
  friend bool operator==(const Example&, const Example&) = default;
};

/// Labels of every example of a cell.
int labels_per_example(const MqarTask& task, const Cell& cell);

/// The address that sample `sample` < 2^32 of a cell follows from, at the begin of a batch.
MqarEntry entry_of(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                   std::uint64_t sample);

/// That sample. Thread-safe.
Example generate(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                 std::uint64_t sample);

// The two halves of generate, for other builders and for tests.

MqarLayout layout_of(Placement placement, const Cell& cell);

/// Everything random in an example but its filler; element j belongs to pair j.
struct PositionDraws {
  std::vector<std::int32_t> keys, values;
  std::vector<int> pair_slots, query_slots;
};
PositionDraws draw_position(const MqarTask& task, const Cell& cell, PhiloxSequence& random);

/// Puts pairs and queries in their slots; what is left stays kEmpty.
Example lay_out(Placement placement, const Cell& cell, const PositionDraws& draws);

}  // namespace farsight
