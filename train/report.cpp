#include "train/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/version.h"
#include "train/reference.h"
#include "train/task.h"

namespace farsight {

namespace {

const TaskAccuracy* find(const std::vector<TaskAccuracy>& accuracy, std::string_view task) {
  const auto found = std::find_if(accuracy.begin(), accuracy.end(),
                                  [&](const TaskAccuracy& entry) { return entry.task == task; });
  return found == accuracy.end() ? nullptr : &*found;
}

/// The tasks that a run of these settings is tested on, and what else there are accuracies of.
std::vector<std::string> columns_of(const Settings& settings,
                                    const std::vector<TaskAccuracy>& accuracy) {
  std::vector<std::string> tasks;
  for (const std::string& task : test_tasks_of(settings)) {
    const bool wanted = accuracy.empty() || find(accuracy, task) != nullptr;
    if (wanted) tasks.push_back(task);
  }
  for (const TaskAccuracy& entry : accuracy) {
    const bool known = std::find(tasks.begin(), tasks.end(), entry.task) != tasks.end();
    if (!known) tasks.push_back(entry.task);
  }
  return tasks;
}

std::string cell_text(const std::optional<double>& percent) {
  return percent ? fmt::format("{:.2f}", *percent) : "-";
}

std::string_view paper_name(std::string_view model) {
  if (model == "mamba") return "paper, Mamba 130M";
  if (model == "mamba-2x") return "paper, Mamba 2x";
  if (model == "mamba-4x") return "paper, Mamba 4x";
  if (model == "pythia") return "paper, Pythia 133M";
  if (model == "hyena") return "paper, Hyena 153M";
  if (model == "rwkv") return "paper, RWKV 153M";
  return "paper, Mamba GS";
}

/// Columns as wide as the names of the tasks.
std::string table_line(std::string_view title, const std::vector<std::string>& cells,
                       const std::vector<std::string>& tasks) {
  std::string line = fmt::format("{:<22}", title);
  for (std::size_t i = 0; i < cells.size(); i++) {
    line += fmt::format(" {:>{}}", cells[i], std::max<std::size_t>(9, tasks[i].size()));
  }
  return line + '\n';
}

std::string comparison_note(const Settings& settings) {
  if (settings.run.preset == "full") {
    return "Pair accuracy in percent, mean over cells. The paper's row: arXiv 2410.15678, Tables 1 "
           "and 3.\n";
  }
  return fmt::format(
      "Pair accuracy in percent, mean over cells. The paper's row (arXiv 2410.15678, Tables 1 and "
      "3)\nis of a model of 130M parameters on lengths to 512; this run has preset {}: compare the "
      "order,\nnot the numbers.\n",
      settings.run.preset);
}

}  // namespace

std::string cell_table(const std::vector<TaskAccuracy>& accuracy) {
  std::string text = "| cell |";
  std::string rule = "|---|";
  for (const TaskAccuracy& entry : accuracy) {
    text += fmt::format(" {} |", entry.task);
    rule += "---|";
  }
  text += '\n' + rule + '\n';
  std::vector<std::string> cells;  // of all tasks, which need not have the same ones
  for (const TaskAccuracy& entry : accuracy) {
    for (const auto& [cell, percent] : entry.cells) {
      const bool known = std::find(cells.begin(), cells.end(), cell) != cells.end();
      if (!known) cells.push_back(cell);
    }
  }
  for (const std::string& cell : cells) {
    text += fmt::format("| {} |", cell);
    for (const TaskAccuracy& entry : accuracy) {
      const auto found = std::find_if(entry.cells.begin(), entry.cells.end(),
                                      [&](const auto& other) { return other.first == cell; });
      const bool has = found != entry.cells.end();
      text += fmt::format(" {} |", has ? fmt::format("{:.2f}", found->second) : "-");
    }
    text += '\n';
  }
  return text;
}

Json accuracy_json(const std::vector<TaskAccuracy>& accuracy) {
  Json json = Json::object();
  for (const TaskAccuracy& entry : accuracy) {
    Json task = Json::object({{"pair", entry.pair},
                              {"token", entry.token},
                              {"case", entry.case_},
                              {"micro_pair", entry.micro_pair}});
    task["cells"] = Json::object();
    for (const auto& [cell, percent] : entry.cells) {
      task["cells"][cell] = percent;
    }
    json[entry.task] = std::move(task);
  }
  return json;
}

Json result_json(const Settings& settings, const RunResult& result) {
  Json json = Json::object({{"task", own_task_name(settings)},
                            {"model", settings.run.model},
                            {"preset", settings.run.preset},
                            {"recipe", settings.run.recipe},
                            {"device", result.device},
                            {"dtype", name_of(settings.run.dtype)},
                            {"parameters", result.parameters},
                            {"steps", result.steps},
                            {"tokens", result.tokens},
                            {"seconds", result.seconds},
                            {"tokens_per_second", result.tokens_per_second},
                            {"seed", settings.run.seed},
                            {"loss", result.loss},
                            {"stopped_by", result.stopped_by},
                            {"tested_step", result.tested_step},
                            {"peak_memory_bytes", result.peak_memory_bytes},
                            {"parameter_hash", result.parameter_hash},
                            {"version", version_line()},
                            {"accuracy_unit", "percent"}});
  json["accuracy"] = accuracy_json(result.accuracy);
  return json;
}

std::string accuracy_table(const Settings& settings, const std::vector<TaskAccuracy>& accuracy) {
  std::vector<std::string> tasks, ours, papers;
  bool in_paper = false;
  const std::string own = own_task_name(settings);
  for (const std::string& task : columns_of(settings, accuracy)) {
    const TaskAccuracy* entry = find(accuracy, task);
    const auto paper = paper_accuracy(settings.run.model, own, task);
    in_paper = in_paper || paper.has_value();
    tasks.push_back(task);
    ours.push_back(cell_text(entry ? std::optional(entry->pair) : std::nullopt));
    papers.push_back(cell_text(paper));
  }
  std::string text = table_line(fmt::format("trained on {}", own), tasks, tasks);
  text += table_line(fmt::format("this run ({})", settings.run.preset), ours, tasks);
  if (!in_paper) {
    return text +
           fmt::format("The paper has no numbers for {} trained on {}.\n", settings.run.model, own);
  }
  return text + table_line(paper_name(settings.run.model), papers, tasks) +
         comparison_note(settings);
}

}  // namespace farsight
