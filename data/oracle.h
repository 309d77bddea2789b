// What a perfect reader can know: every query of an example answered from its tokens alone.
//
// The reader knows the rules of the task and the cell, sees the whole example and which positions
// are asked for, but no label. It looks up every place of the context that binds the queried key:
//
//   one place                                   the answer is certain
//   several, all with the same value            so it is here
//   several values: a key drawn twice           the answer is the value with the greatest posterior
//   (shuffle, KnVm), a key of a pair that       probability, which is also the probability that the
//   nobody asks for, or, where pairs without    answer is right
//   separators lie among random filler, two
//   filler tokens that look like a pair
//
// The posterior. All m places that can hold a pair with the key k are exchangeable where places are
// shuffled: each of the n <= m queries for k asks for any of them with probability 1/m. In the
// contiguous placement pair j took the j-th query slot drawn, and the power law draws near slots
// first; so the ways to match places and queries of equal keys weigh as the order of the draws that
// they imply, whose probability is
//
//   prod_j w(slot of j) / (W - sum_{i<j} w(slot of i))        w, W: data/sampling.h
//
// The mean of these probabilities over the queries of a cell is its ceiling: the pair accuracy that
// no reader exceeds in expectation. No model that reads from left to right knows more than this
// reader, so a score above the ceiling is luck or a leak.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/mqar.h"

namespace farsight {

/// A place of the context that binds a key: positions of the first token of the key and of the value.
struct Binding {
  int key = 0;
  int value = 0;
  friend bool operator==(const Binding&, const Binding&) = default;
};

/// A query as it stands in the tokens.
struct Query {
  int key = 0;                  ///< position of its key's first token
  int pair = 0;                 ///< Label::pair of its labels
  std::size_t first_label = 0;  ///< its value's labels are this one and those that follow
  std::size_t labels = 1;       ///< how many they are
  std::vector<Binding> places;  ///< all that bind its key, ascending

  // Found by the oracle.
  std::size_t best = 0;    ///< the answer is the value at places[best]; no meaning without places
  double probability = 0;  ///< that it is right; 0 without places
};

struct Reading {
  std::vector<Query> queries;  ///< in the order of the labels
  /// The probability that the best answer to all queries together is right throughout.
  double all_right = 1;
  /// False if too many equal keys made the matching of the contiguous placement too long to sum:
  /// its ways count alike then.
  bool exact = true;
};

/// The example's queries and the best answers to them. Of `labels` the positions and pairs are
/// read, not the targets. Labels that no query of the task can have are refused as Error(corrupt).
Reading read_example(const MqarTask& task, const Cell& cell, std::span<const std::int32_t> tokens,
                     std::span<const Label> labels);

/// All places of the context that can hold a pair, in the order of sections and slots; none of tasks
/// that follow no layout.
std::vector<Binding> bindings_of(const MqarTask& task, const Cell& cell,
                                 std::span<const std::int32_t> tokens);

/// Percent of what is attainable, in expectation, on given examples of a cell.
struct Ceiling {
  double pair = 100;   ///< pairs right
  double case_ = 100;  ///< examples right throughout
};

/// Of the first `examples` examples of a cell.
Ceiling ceiling_of(const MqarTask& task, Split split, std::uint64_t seed, std::size_t cell,
                   std::int64_t examples);

/// Of these examples, all of one cell.
Ceiling ceiling_of(const MqarTask& task, const Cell& cell, std::span<const Example> examples);

}  // namespace farsight
