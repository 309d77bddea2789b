// A model's answer to every query, beside what stands in the context: what breakdowns
// (eval/breakdown.h), shortcut indices (eval/shortcuts.h) and files for people's own statistics are
// made from.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/batches.h"

namespace farsight {

/// Where an answer comes from.
enum class Source : std::uint8_t {
  own,    ///< it is right
  other,  ///< the value of another place of the context
  none    ///< nothing that the context binds to a key
};

struct PairAnswer {
  std::size_t cell = 0;      ///< index in the task
  std::uint64_t sample = 0;  ///< of its cell
  int pair = 0;              ///< of its example
  int pair_key = -1;         ///< position of the asked pair's key; -1 if the context has none such
  int query_key = 0;         ///< position of the key in the query
  /// That a perfect reader is right (data/oracle.h).
  double attainable = 0;
  /// That it is right with all queries of the example together.
  double example_attainable = 0;
  Source source = Source::none;
  /// Of a task with sections: whose value was answered, 0 to 3; else, and of none of them, -1.
  int section = -1;
  std::vector<std::int32_t> truth{}, answer{};  ///< value tokens

  bool right() const { return source == Source::own; }
  /// Tokens from the pair to its query.
  int distance() const { return query_key - pair_key; }
};

/// Of a batch that is not packed, and the argmax at its labels. Where the context has a pair in
/// several sections, the value of any of them is right.
std::vector<PairAnswer> answers_of(const MqarTask& task, const Batch& batch,
                                   std::span<const std::int32_t> predictions);

/// The predictions as they are scored: of a task with sections, the value of any section of the
/// asked key becomes the target.
std::vector<std::int32_t> accepted(const MqarTask& task, const Batch& batch,
                                   std::vector<std::int32_t> predictions);

/// One line of JSON: cell, example, pair, pair_position, query_position, distance, truth, answer,
/// right, source, attainable; section where there are sections.
std::string json_line(const MqarTask& task, const PairAnswer& answer);

}  // namespace farsight
