#include "train/tested.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "core/check.h"
#include "core/clock.h"
#include "core/file_calls.h"
#include "core/files.h"
#include "data/audit.h"
#include "eval/recall.h"
#include "train/task.h"

namespace farsight {
namespace {

/// Refuses a task whose ids or positions the model does not know.
void require_admits(const Settings& settings, const Model& model, const MqarTask& task,
                    bool frozen) {
  const std::int64_t ids = task.model_vocabulary();
  require(ids <= model.vocab_size, ExitCode::data,
          "task {} uses token ids up to {}, the model knows {}: {}", task.name, ids - 1,
          model.vocab_size,
          frozen ? "the set was made for another vocabulary; make one with `farsight data make "
                   "--config RUN/config.toml`"
                 : "choose another --preset or a smaller --data.vocabulary");
  for (const Cell& cell : task.cells) {
    require(model.max_length == 0 || cell.length <= model.max_length, ExitCode::data,
            "task {} has examples of {} tokens, and this {} ends at {}: choose other cells with "
            "--task FILE.toml",
            task.name, cell.length, settings.run.model, model.max_length);
  }
}

TaskAccuracy accuracy_of(const MqarTask& task, const RecallResult& result) {
  const MqarScore& score = result.score;
  TaskAccuracy accuracy{.task = task.name,
                        .pair = score.pair_accuracy,
                        .token = score.token_accuracy,
                        .case_ = score.case_accuracy,
                        .micro_pair = score.micro_pair_accuracy};
  const std::vector<Ceiling> ceilings = ceilings_of(task, result.answers);
  for (std::size_t i = 0; i < task.cells.size(); i++) {
    const std::string name = cell_name(task.cells[i]);
    accuracy.cells.emplace_back(name, score.cells[i].pairs.percent());
    accuracy.cell_ceilings.emplace_back(name, ceilings[i].pair);
  }
  accuracy.ceiling = mean_ceiling(ceilings);
  accuracy.breakdown = breakdown_of(task, result.answers);
  accuracy.sections = section_shares(task, result.answers);
  return accuracy;
}

/// Now instead of after the evaluation. A device or a pipe takes what comes.
void require_writable(const std::filesystem::path& path) {
  std::error_code none;
  require(!std::filesystem::is_directory(path, none), ExitCode::usage,
          "--per-query: '{}' is a folder; name a file", path.string());
  if (std::filesystem::exists(path, none) && !std::filesystem::is_regular_file(path, none)) return;
  OutputFile trial(temporary_beside(path));  // removes itself
}

void write_answers(const std::filesystem::path& path, const std::vector<TaskAnswers>& tasks) {
  write_file_atomically(path, [&](OutputFile& file) {
    for (const TaskAnswers& task : tasks) {
      for (const PairAnswer& answer : task.answers) {
        file.write(json_line(task.task, answer) + "\n");
      }
    }
  });
}

}  // namespace

Tested tested(const Model& model, const Settings& settings, const TestOptions& options) {
  const double start = seconds_now();
  if (!options.per_query.empty()) require_writable(options.per_query);
  std::optional<FrozenSet> set;
  std::vector<TaskAnswers> tasks;
  if (!options.set.empty()) {
    set.emplace(options.set);
    tasks.push_back({set->task(), {}});
  }
  for (const std::string& name : options.tasks) {
    tasks.push_back({task_of(settings, name), {}});
  }
  for (const TaskAnswers& task : tasks) {
    require_admits(settings, model, task.task, set.has_value());
  }
  const std::int64_t generated = options.split == Split::test
                                     ? settings.data.test_examples_per_cell
                                     : settings.data.valid_examples_per_cell;
  const std::int64_t all = set ? std::numeric_limits<std::int64_t>::max() : generated;
  Tested all_tasks;
  std::vector<TaskAccuracy>& accuracies = all_tasks.accuracy;
  for (TaskAnswers& task : tasks) {
    RecallResult result =
        evaluate_recall(model, task.task,
                        {.split = options.split,
                         .examples_per_cell = options.limit > 0 ? options.limit : all,
                         .micro_tokens = settings.train.micro_tokens,
                         .keep_answers = true,
                         .set = set ? &*set : nullptr});
    accuracies.push_back(accuracy_of(task.task, result));
    task.answers = std::move(result.answers);
    all_tasks.tokens += result.tokens;
  }
  const std::string own = own_task_name(settings);
  const auto home = std::find_if(accuracies.begin(), accuracies.end(),
                                 [&](const TaskAccuracy& entry) { return entry.task == own; });
  if (home != accuracies.end()) home->shortcuts = shortcut_indices(own_task(settings), tasks);
  if (!options.per_query.empty()) write_answers(options.per_query, tasks);
  all_tasks.seconds = seconds_now() - start;
  return all_tasks;
}

}  // namespace farsight
