// Where the verbs of `farsight data` take examples from, and the words that say so.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/frozen_set.h"
#include "train/settings.h"
#include "train/words.h"

namespace farsight {

/// The value of option `flag`, a whole number from 0; `otherwise` where it is not given.
std::int64_t whole_number(const Words& words, const std::string& flag, std::int64_t otherwise);
/// The value of an option that there must be: throws Error(usage) otherwise.
std::string needed_word(const Words& words, std::string_view verb, const std::string& flag);
/// Those of --config under those of the words.
Settings settings_of(const Words& words);
/// Of --split; the test split where it is not given.
Split split_of(const Words& words);

/// Examples by cell: of a frozen set, or generated as they are asked for.
struct ExampleSource {
  FrozenHeader header;
  std::optional<FrozenSet> set;
  std::int64_t generated = 0;  ///< examples of a cell
  std::int64_t most = 0;       ///< of a set's cell; 0: all

  const MqarTask& task() const { return header.task; }

  std::int64_t count(std::size_t cell) const { return set ? set->examples(cell) : generated; }

  std::vector<Example> examples(std::size_t cell) const {
    if (set) {
      std::vector<Example> all = set->read(cell);
      if (most > 0 && static_cast<std::int64_t>(all.size()) > most) {
        all.resize(static_cast<std::size_t>(most));
      }
      return all;
    }
    std::vector<Example> all;
    for (std::int64_t i = 0; i < generated; i++) {
      all.push_back(one(cell, i));
    }
    return all;
  }

  Example one(std::size_t cell, std::int64_t index) const {
    if (set) return set->read(cell)[static_cast<std::size_t>(index)];
    return generate(task(), header.split, header.seed, cell, static_cast<std::uint64_t>(index));
  }
};

/// Of the task that the words name.
ExampleSource generated_source(const Words& words);
/// Of --data, or else the same.
ExampleSource source_of(const Words& words, std::string_view verb);

/// "sets/k2v2: task k2v2, test split, 9 cells, 2,700 examples"
std::string written_text(const std::filesystem::path& folder, const ExampleSource& source);
/// "1 cell", "9 cells"
std::string counted(std::int64_t count, std::string_view what);

}  // namespace farsight
