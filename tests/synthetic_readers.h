// Readers that answer queries by one rule alone, to see what scores make of them.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "data/oracle.h"
#include "eval/answers.h"

namespace farsight {

/// One example as a reader sees it.
struct Sight {
  const MqarTask& task;
  const Cell& cell;
  std::span<const std::int32_t> tokens;
  const Query& query;
  std::vector<Binding> stored;  ///< all places of the context that can hold a pair

  std::int32_t token(int position) const { return tokens[static_cast<std::size_t>(position)]; }
};

/// Where the value is that it answers with; none: it answers 0.
using Reader = std::function<std::optional<Binding>(const Sight&)>;

/// The best answer there is.
inline std::optional<Binding> perfect_reader(const Sight& sight) {
  if (sight.query.places.empty()) return {};
  return sight.query.places[sight.query.best];
}

/// Finds the key only among the tokens where `home` has its pairs.
inline Reader position_reader(const MqarTask& home) {
  return [home](const Sight& sight) -> std::optional<Binding> {
    const MqarLayout layout = layout_of(home, sight.cell);
    const int end = layout.pair_begin + layout.slot() * layout.pair_slots;
    for (const Binding& place : sight.query.places) {
      if (place.key >= layout.pair_begin && place.key < end) return place;
    }
    return {};
  };
}

/// The first pair whose key ends like the asked one.
inline std::optional<Binding> last_key_reader(const Sight& sight) {
  const int last = sight.task.description.key_length - 1;
  for (const Binding& place : sight.stored) {
    if (sight.token(place.key + last) == sight.token(sight.query.key + last)) return place;
  }
  return {};
}

/// The first pair, whatever its key.
inline std::optional<Binding> anchor_reader(const Sight& sight) {
  if (sight.stored.empty()) return {};
  return sight.stored.front();
}

/// Its answers at the labels of a batch.
inline std::vector<std::int32_t> predictions_of(const MqarTask& task, const Batch& batch,
                                                const Reader& reader) {
  std::vector<std::int32_t> predictions(batch.targets.size(), 0);
  const auto length = static_cast<std::size_t>(batch.length);
  std::size_t first = 0;
  for (std::size_t row = 0; row < batch.examples.size(); row++) {
    const Cell& cell = task.cells[batch.examples[row].cell];
    const auto tokens = std::span(batch.tokens).subspan(row * length, length);
    std::vector<Label> labels;
    for (std::size_t i = first; i < batch.targets.size(); i++) {
      const auto at = static_cast<std::size_t>(batch.label_rows[i]);
      if (at / length != row) break;
      labels.push_back({static_cast<int>(at % length) + 1, batch.targets[i], batch.pairs[i]});
    }
    for (const Query& query : read_example(task, cell, tokens, labels).queries) {
      const Sight sight{task, cell, tokens, query, bindings_of(task, cell, tokens)};
      const std::optional<Binding> place = reader(sight);
      for (std::size_t i = 0; i < query.labels && place; i++) {
        predictions[first + query.first_label + i] =
            sight.token(place->value + static_cast<int>(i));
      }
    }
    first += labels.size();
  }
  return predictions;
}

/// Its answers to the first `examples` test examples of every cell.
inline std::vector<PairAnswer> answers_by(const MqarTask& task, const Reader& reader,
                                          std::int64_t examples) {
  std::vector<PairAnswer> answers;
  for (std::size_t cell = 0; cell < task.cells.size(); cell++) {
    for (const Batch& batch : evaluation_batches(task, Split::test, cell, examples, 4096)) {
      const auto some = answers_of(task, batch, predictions_of(task, batch, reader));
      answers.insert(answers.end(), some.begin(), some.end());
    }
  }
  return answers;
}

}  // namespace farsight
