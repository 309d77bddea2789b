#include "train/data_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <utility>
#include <vector>

#include "core/check.h"
#include "data/example_rules.h"
#include "data/frozen_set.h"
#include "data/released_jsonl.h"
#include "data/task_json.h"
#include "train/data_source.h"
#include "train/task.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

/// Cells by length and pairs, each with its examples in the order of the file.
using ByCell = std::map<std::pair<int, int>, std::vector<Example>>;

void require_rules(const MqarTask& task, Split split, const fs::path& file,
                   const std::vector<ReleasedExample>& examples) {
  for (const ReleasedExample& example : examples) {
    const std::vector<std::string> broken =
        broken_rules(task, example.cell, split, example.example);
    require(
        broken.empty(), ExitCode::corrupt,
        "{}, line {}: this is no example of the task {}: {} (--unchecked takes it all the same)",
        file.string(), example.line, task.name, broken.empty() ? "" : broken.front());
  }
}

/// What not even --unchecked takes: it could not be read again.
void require_storable(const MqarTask& task, const fs::path& file,
                      const std::vector<ReleasedExample>& examples) {
  for (const ReleasedExample& example : examples) {
    const std::string problem = unstorable(task, example.example);
    require(problem.empty(), ExitCode::corrupt, "{}, line {}: {}", file.string(), example.line,
            problem);
  }
}

bool has_closing_label(const Example& example) {
  return std::any_of(example.labels.begin(), example.labels.end(),
                     [](const Label& label) { return label.pair == kNoPair; });
}

/// Whether the closing <SEP> of values is labelled: in all examples, or in none.
bool labels_separators(const fs::path& file, const std::vector<ReleasedExample>& examples) {
  const bool first = has_closing_label(examples.front().example);
  for (const ReleasedExample& example : examples) {
    require(has_closing_label(example.example) == first, ExitCode::corrupt,
            "{}: V_id of line {} {} the closing <SEP> and that of line {} {}; a set is of one kind",
            file.string(), examples.front().line, first ? "has" : "lacks", example.line,
            first ? "lacks it" : "has it");
  }
  return first;
}

}  // namespace

std::string export_text(const Words& words) {
  const FrozenSet set{fs::path(needed_word(words, "data export", "data"))};
  const fs::path to = needed_word(words, "data export", "to");
  write_released_jsonl(to, set.task(), [&](std::size_t cell) { return set.read(cell); });
  return fmt::format("{}: {}\n", to.string(),
                     counted(static_cast<std::int64_t>(set.task().cells.size()), "cell"));
}

std::string import_text(const Words& words) {
  const fs::path from = needed_word(words, "data import", "from");
  const fs::path to = needed_word(words, "data import", "to");
  const Settings settings = settings_of(words);
  const Split split = split_of(words);
  const MqarTask rules = own_task(settings);
  const std::vector<ReleasedExample> examples = read_released_jsonl(from, rules.description, split);
  ByCell by_cell;
  for (const ReleasedExample& example : examples) {
    by_cell[{example.cell.length, example.cell.pairs}].push_back(example.example);
  }
  std::vector<Cell> cells;
  std::vector<std::size_t> places;
  for (const auto& [cell, of_it] : by_cell) {
    places.push_back(cells.size());
    cells.push_back({cell.first, cell.second});
  }
  MqarTask task = with_cells(rules, cells, places);
  task.separator_target = labels_separators(from, examples);
  require_storable(task, from, examples);
  if (!words.has("unchecked")) require_rules(task, split, from, examples);
  const FrozenHeader header{.task = task,
                            .split = split,
                            .origin = fmt::format("imported from {}", from.filename().string())};
  write_frozen_set(to, header, [&](std::size_t i) {
    return by_cell[{cells[i].length, cells[i].pairs}];
  });
  const FrozenSet set(to);
  return written_text(to, {.header = header, .set = set});
}

}  // namespace farsight
