// From a description and sizes to a task: what it must be, its ids, its cells.
#include <algorithm>
#include <utility>

#include "core/check.h"
#include "data/mqar.h"
#include "data/other_tasks.h"
#include "data/task_grid.h"

namespace farsight {
namespace {

constexpr int kMaxVocabulary = 1 << 30;  // V + kFirstFreeId is still an id
constexpr int kMostTokens = 1 << 16;     // of a key or a value

void check_description(std::string_view name, const TaskDescription& d) {
  require(d.key_length >= 1 && d.key_length <= kMostTokens && d.value_length >= 1 &&
              d.value_length <= kMostTokens,
          ExitCode::data, "task {}: keys and values have 1 to {} tokens, got {} and {}", name,
          kMostTokens, d.key_length, d.value_length);
  require(d.query_power >= 0 && d.query_power <= 1, ExitCode::data,
          "task {}: query_power must be 0 to 1, got {}", name, d.query_power);
  if (d.kind != TaskKind::recall) {
    require(d.noise == Noise::none && !d.separators && d.placement == Placement::standard,
            ExitCode::data,
            "task {}: placement, separators and noise are of the kind recall, and this one is {}",
            name, kTaskKindNames[static_cast<std::size_t>(d.kind)]);
    return;
  }
  const bool shares_ends = d.noise == Noise::shared_last_key || d.noise == Noise::equal_pairs;
  require(!shares_ends || d.key_length >= 2, ExitCode::data,
          "task {}: noise whose keys end alike needs keys of at least 2 tokens: of 1 token they "
          "would be the same",
          name);
  require(!in_sections(d) || d.placement == Placement::standard, ExitCode::data,
          "task {}: sections are filled from their start: placement must be standard, got {}", name,
          placement_name(d.placement));
}

/// Throws Error(data) if the ids do not suffice for a cell.
void check_ids(const MqarTask& task, const Cell& cell, int vocabulary) {
  if (!follows_layout(task)) return require_other_ids(task, cell);
  const MqarLayout layout = layout_of(task, cell);
  if (layout.repeats) return;
  const auto needed = [&](int ids, const IdRange& range, std::string_view what, int least) {
    require(ids <= range.size(), ExitCode::data,
            "task {}: {} pairs with different {} need a vocabulary of at least {} ids, got {} "
            "(ids {} to {} are {})",
            task.name, cell.pairs, what, least, vocabulary, range.first, range.last, what);
  };
  const int spare = task.description.separators ? 0 : 1;  // id 0 is no key
  needed(layout.key_tokens(), task.keys, "keys", 2 * (layout.key_tokens() + spare));
  needed(layout.values_drawn(), task.values, "values", 2 * layout.values_drawn());
}

MqarTask finish(std::string_view name, const TaskDescription& d, TaskGrid grid, int vocabulary,
                bool zero_filler, bool separator_target) {
  require(vocabulary >= 4 && vocabulary <= kMaxVocabulary, ExitCode::data,
          "task {}: the vocabulary must be 4 to {} ids, got {}", name, kMaxVocabulary, vocabulary);
  const IdRange all = {kFirstFreeId, vocabulary + kFirstFreeId - 1};
  const int half = vocabulary / 2;
  MqarTask task{.name = std::string(name),
                .description = d,
                .separator_target = separator_target,
                .keys = all,
                .values = all,
                .filler = all,
                .cells = std::move(grid.cells),
                .places = std::move(grid.places),
                .query_slots = PowerLawSlots(1)};
  if (d.kind != TaskKind::recall) {
    for (const Cell& cell : task.cells) {
      check_ids(task, cell, vocabulary);
    }
    return task;
  }
  const int first = d.separators ? kFirstFreeId : 0;
  task.keys = {std::max(first, 1), first + half - 1};
  task.values = {first + half, first + vocabulary - 1};
  if (zero_filler || d.noise == Noise::sections_released) task.filler = {kEmpty, kEmpty};
  int most_slots = 1;
  for (const Cell& cell : task.cells) {
    check_ids(task, cell, vocabulary);
    most_slots = std::max(most_slots, layout_of(task, cell).query_slots);
  }
  task.query_slots = PowerLawSlots(most_slots, d.query_power);
  return task;
}

}  // namespace

int MqarTask::model_vocabulary() const {
  const int past_values = description.noise == Noise::sections_released ? 3 : 0;
  return std::max({keys.last, values.last + past_values, filler.last}) + 1;
}

MqarTask make_task(std::string_view name, const TaskDescription& description,
                   const TaskSizes& sizes) {
  check_description(name, description);
  return finish(name, description, grid_of(name, description, sizes), sizes.vocabulary,
                sizes.zero_filler, sizes.separator_target);
}

MqarTask make_named_task(std::string_view name, const TaskSizes& sizes) {
  const NamedTask* task = find_task(name);
  check(task != nullptr, "make_named_task: no task is called '{}'", name);
  return make_task(name, task->description, sizes);
}

MqarTask make_position_task(Placement placement, int vocabulary, std::vector<Cell> cells) {
  const NamedTask* task = find_task(placement_name(placement));
  require(!cells.empty(), ExitCode::data, "task {}: the grid has no cell", task->name);
  TaskGrid grid;
  for (const Cell& cell : cells) {
    require_fits(task->name, task->description, cell);
    grid.places.push_back(grid.cells.size());
    grid.cells.push_back(cell);
  }
  return finish(task->name, task->description, std::move(grid), vocabulary, false, true);
}

MqarTask paper_position_task(Placement placement) {
  return make_named_task(placement_name(placement));
}

}  // namespace farsight
