// Examples in a folder, to keep, share and compare: what a generator made, or somebody else's.
//
//   set/manifest.json                   format, task and its rules, split, seed, origin, cells
//   set/cell-64x4.safetensors           of 64 tokens and 4 pairs, N examples with M labels each, i32:
//       tokens           [N, 64]
//       label_positions  [N, M]         of the token to be predicted
//       label_targets    [N, M]         that token
//       label_pairs      [N, M]         the pair it belongs to; -1: to none, and never scored
//
// The manifest has every file's size and XXH3 hash. The folder appears whole or not at all
// (core/atomic_folder.h), and a file is read only if it is what the manifest says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "data/batches.h"

namespace farsight {

inline constexpr int kFrozenFormatVersion = 1;

/// What a set says of itself, the examples aside.
struct FrozenHeader {
  MqarTask task;
  Split split = Split::test;
  std::uint64_t seed = 0;  ///< of generated training data
  std::string origin;      ///< "generated", or where it was imported from
};

std::string_view split_name(Split split);
/// Throws Error(usage) for a word that is no split.
Split split_named(std::string_view name);

/// Why a set of `task` cannot hold an example, whatever the rules of the task say of it: an id that
/// the vocabulary lacks, labels out of order. Empty: it can.
std::string unstorable(const MqarTask& task, const Example& example);

/// Writes a set; `examples_of` gives those of cell `index` of the task. All examples of a cell have
/// as many labels. Throws Error(usage) if `folder` is there already, Error(data) for what could not be
/// read again, Error(storage) if it cannot be written.
void write_frozen_set(const std::filesystem::path& folder, const FrozenHeader& header,
                      const std::function<std::vector<Example>(std::size_t index)>& examples_of);

class FrozenSet {
 public:
  /// Reads the manifest. Throws Error(storage) if there is none, Error(corrupt), naming file and
  /// member, for one that is damaged or of another version.
  explicit FrozenSet(const std::filesystem::path& folder);

  const FrozenHeader& header() const { return header_; }
  const MqarTask& task() const { return header_.task; }
  std::int64_t examples(std::size_t cell) const { return cells_[cell].examples; }

  /// The examples of a cell: their tokens and labels. Throws Error(corrupt) for a file that is not
  /// what the manifest says, or has numbers that no example can have.
  std::vector<Example> read(std::size_t cell) const;

 private:
  struct StoredCell {
    std::int64_t examples = 0;
    std::uint64_t bytes = 0;
    std::string xxh3;
  };
  std::filesystem::path folder_;
  FrozenHeader header_;
  std::vector<StoredCell> cells_;
};

/// Examples of one cell, of one length, in batches of at most `max_tokens` tokens (at least one
/// row), as evaluation_batches (data/batches.h) makes them.
std::vector<Batch> batches_of(std::size_t cell, std::span<const Example> examples,
                              std::int64_t max_tokens);

}  // namespace farsight
