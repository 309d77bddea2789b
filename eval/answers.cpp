#include "eval/answers.h"

#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/json.h"
#include "data/anatomy.h"

namespace farsight {
namespace {

using Ids = std::vector<std::int32_t>;

/// Row `row` of a batch as an example, and where its labels are in the batch.
struct Row {
  const ExampleId& id;
  std::span<const std::int32_t> tokens;
  std::vector<Label> labels;
  std::vector<std::size_t> at;  // [labels]
};

std::vector<Row> rows_of(const Batch& batch) {
  check(!batch.packed(), "answers_of: a packed batch has no rows of one example");
  std::vector<Row> rows;
  const auto length = static_cast<std::size_t>(batch.length);
  for (std::size_t row = 0; row < static_cast<std::size_t>(batch.rows); row++) {
    rows.push_back({.id = batch.examples[row],
                    .tokens = std::span(batch.tokens).subspan(row * length, length),
                    .labels = {},
                    .at = {}});
  }
  for (std::size_t i = 0; i < batch.targets.size(); i++) {
    Row& row = rows[static_cast<std::size_t>(batch.label_rows[i] / batch.length)];
    const int position = batch.label_rows[i] % batch.length + 1;
    row.labels.push_back({position, batch.targets[i], batch.pairs[i]});
    row.at.push_back(i);
  }
  return rows;
}

Ids value_at(const Row& row, const Binding& place, std::size_t count) {
  const auto first = row.tokens.begin() + place.value;
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

Ids answered(const Row& row, const Query& query, std::span<const std::int32_t> predictions) {
  Ids answer;
  for (std::size_t i = 0; i < query.labels; i++) {
    answer.push_back(predictions[row.at[query.first_label + i]]);
  }
  return answer;
}

int sections_of(const MqarTask& task, const Cell& cell) {
  return follows_layout(task) ? layout_of(task, cell).sections : 1;
}

/// The section of the first place that binds this value, or -1.
int section_of(const MqarLayout& layout, const Row& row, const Query& query, const Ids& value) {
  for (const Binding& place : query.places) {
    if (value_at(row, place, query.labels) != value) continue;
    return (place.key - layout.key_offset() - layout.pair_begin) / layout.section_length;
  }
  return -1;
}

}  // namespace

std::vector<PairAnswer> answers_of(const MqarTask& task, const Batch& batch,
                                   std::span<const std::int32_t> predictions) {
  check(predictions.size() == batch.targets.size(),
        "answers_of: predictions must be [labels={}], got [{}]", batch.targets.size(),
        predictions.size());
  std::vector<PairAnswer> answers;
  for (const Row& row : rows_of(batch)) {
    const Cell& cell = task.cells[row.id.cell];
    const bool sections = sections_of(task, cell) > 1;
    const Anatomy anatomy = anatomy_of(task, cell, row.tokens, row.labels);
    const std::vector<Binding> stored = bindings_of(task, cell, row.tokens);
    for (std::size_t i = 0; i < anatomy.asked.size(); i++) {
      const Query& query = anatomy.reading.queries[i];
      PairAnswer one{.cell = row.id.cell,
                     .sample = row.id.sample,
                     .pair = query.pair,
                     .pair_key = anatomy.asked[i] ? anatomy.asked[i]->key : -1,
                     .query_key = query.key,
                     .attainable = query.probability,
                     .example_attainable = anatomy.reading.all_right,
                     .answer = answered(row, query, predictions)};
      for (std::size_t label = 0; label < query.labels; label++) {
        one.truth.push_back(row.labels[query.first_label + label].target);
      }
      if (sections) one.section = section_of(layout_of(task, cell), row, query, one.answer);
      const bool elsewhere = std::any_of(stored.begin(), stored.end(), [&](const Binding& place) {
        return value_at(row, place, query.labels) == one.answer;
      });
      const bool right = one.answer == one.truth || one.section >= 0;
      one.source = right ? Source::own : elsewhere ? Source::other : Source::none;
      answers.push_back(std::move(one));
    }
  }
  return answers;
}

std::vector<std::int32_t> accepted(const MqarTask& task, const Batch& batch,
                                   std::vector<std::int32_t> predictions) {
  for (const Row& row : rows_of(batch)) {
    const Cell& cell = task.cells[row.id.cell];
    if (sections_of(task, cell) == 1) continue;
    const MqarLayout layout = layout_of(task, cell);
    for (const Query& query : read_example(task, cell, row.tokens, row.labels).queries) {
      if (section_of(layout, row, query, answered(row, query, predictions)) < 0) continue;
      for (std::size_t i = 0; i < query.labels; i++) {
        const std::size_t label = query.first_label + i;
        predictions[row.at[label]] = row.labels[label].target;
      }
    }
  }
  return predictions;
}

std::string json_line(const MqarTask& task, const PairAnswer& answer) {
  constexpr std::array<std::string_view, 3> kSources = {"own", "other", "none"};
  const Cell& cell = task.cells[answer.cell];
  const bool found = answer.pair_key >= 0;
  Json line = Json::object({{"task", task.name},
                            {"length", cell.length},
                            {"pairs", cell.pairs},
                            {"example", answer.sample},
                            {"pair", answer.pair},
                            {"pair_position", found ? Json(answer.pair_key) : Json()},
                            {"query_position", answer.query_key},
                            {"distance", found ? Json(answer.distance()) : Json()},
                            {"truth", Json::array_of(answer.truth)},
                            {"answer", Json::array_of(answer.answer)},
                            {"right", answer.right()},
                            {"source", kSources[static_cast<std::size_t>(answer.source)]},
                            {"attainable", answer.attainable}});
  if (sections_of(task, cell) > 1) {
    line["section"] = answer.section >= 0 ? Json(answer.section) : Json();
  }
  return line.dump();
}

}  // namespace farsight
