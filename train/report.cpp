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

namespace {

using CellValues = std::vector<std::pair<std::string, double>>;

/// A column of cell_table: the value of a cell, or "-".
std::string value_text(const CellValues& values, std::string_view cell) {
  const auto found = std::find_if(values.begin(), values.end(),
                                  [&](const auto& value) { return value.first == cell; });
  return found == values.end() ? "-" : fmt::format("{:.2f}", found->second);
}

bool below_hundred(const CellValues& ceilings) {
  return std::any_of(ceilings.begin(), ceilings.end(),
                     [](const auto& ceiling) { return ceiling.second < 100; });
}

}  // namespace

std::string cell_table(const std::vector<TaskAccuracy>& accuracy) {
  std::string text = "| cell |";
  std::string rule = "|---|";
  std::vector<const CellValues*> columns;
  const auto add_column = [&](std::string_view title, const CellValues& values) {
    text += fmt::format(" {} |", title);
    rule += "---|";
    columns.push_back(&values);
  };
  for (const TaskAccuracy& entry : accuracy) {
    add_column(entry.task, entry.cells);
    if (below_hundred(entry.cell_ceilings)) add_column("its ceiling", entry.cell_ceilings);
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
    for (const CellValues* values : columns) {
      text += fmt::format(" {} |", value_text(*values, cell));
    }
    text += '\n';
  }
  return text;
}

namespace {

Json bins_json(const std::vector<Bin>& bins) {
  Json json = Json::array();
  for (const Bin& bin : bins) {
    json.push_back(Json::object({{"from", bin.begin},
                                 {"to", bin.end},
                                 {"pair", bin.pairs.percent()},
                                 {"pairs", bin.pairs.total}}));
  }
  return json;
}

Json index_json(const std::optional<double>& index) {
  return index ? Json(*index) : Json();
}

std::string index_text(const std::optional<double>& index) {
  return index ? fmt::format("{:.2f}", *index) : "not measured";
}

/// What only some tasks have.
void add_details(const TaskAccuracy& entry, Json& task) {
  if (entry.sections) {
    const auto& shares = entry.sections->section;
    task["sections"] = Json::object({{"0-25", shares[0]},
                                     {"25-50", shares[1]},
                                     {"50-75", shares[2]},
                                     {"75-100", shares[3]},
                                     {"none", entry.sections->none}});
  }
  if (entry.shortcuts) {
    task["shortcuts"] =
        Json::object({{"position", index_json(entry.shortcuts->position)},
                      {"anchor", index_json(entry.shortcuts->anchor)},
                      {"last_key_token", index_json(entry.shortcuts->last_key_token)}});
  }
}

}  // namespace

std::string metrics_table(const std::vector<TaskAccuracy>& accuracy) {
  std::string text =
      "| task | pair | ceiling | token | case | ceiling, case | micro pair |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const TaskAccuracy& entry : accuracy) {
    text += fmt::format("| {} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.2f} |\n",
                        entry.task, entry.pair, entry.ceiling.pair, entry.token, entry.case_,
                        entry.ceiling.case_, entry.micro_pair);
  }
  for (const TaskAccuracy& entry : accuracy) {
    if (!entry.sections) continue;
    const auto& shares = entry.sections->section;
    text += fmt::format(
        "\n{}: answers from the sections 0-25 % {:.1f}, 25-50 % {:.1f}, 50-75 % {:.1f}, 75-100 % "
        "{:.1f}, from none {:.1f}\n",
        entry.task, shares[0], shares[1], shares[2], shares[3], entry.sections->none);
  }
  for (const TaskAccuracy& entry : accuracy) {
    if (!entry.shortcuts) continue;
    text += fmt::format(
        "\nshortcut indices of a run trained on {}, 0 none to 1 all: position {}, anchor token {}, "
        "last key token {}\n",
        entry.task, index_text(entry.shortcuts->position), index_text(entry.shortcuts->anchor),
        index_text(entry.shortcuts->last_key_token));
  }
  return text;
}

Json accuracy_json(const std::vector<TaskAccuracy>& accuracy, std::string_view parameter_hash) {
  Json json = Json::object();
  for (const TaskAccuracy& entry : accuracy) {
    Json task = Json::object({{"pair", entry.pair},
                              {"token", entry.token},
                              {"case", entry.case_},
                              {"micro_pair", entry.micro_pair},
                              {"ceiling", entry.ceiling.pair},
                              {"ceiling_case", entry.ceiling.case_}});
    task["cells"] = Json::object();
    for (const auto& [cell, percent] : entry.cells) {
      task["cells"][cell] = percent;
    }
    task["cell_ceilings"] = Json::object();
    for (const auto& [cell, percent] : entry.cell_ceilings) {
      task["cell_ceilings"][cell] = percent;
    }
    task["by_position"] = bins_json(entry.breakdown.by_position);
    task["by_distance"] = bins_json(entry.breakdown.by_distance);
    add_details(entry, task);
    if (!parameter_hash.empty()) task["parameter_hash"] = parameter_hash;
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
  if (!result.text.is_null()) json["text"] = result.text;
  return json;
}

std::string accuracy_table(const Settings& settings, const std::vector<TaskAccuracy>& accuracy) {
  std::vector<std::string> tasks, ours, ceilings, papers;
  bool in_paper = false;
  const std::string own = own_task_name(settings);
  for (const std::string& task : columns_of(settings, accuracy)) {
    const TaskAccuracy* entry = find(accuracy, task);
    const auto paper = paper_accuracy(settings.run.model, own, task);
    in_paper = in_paper || paper.has_value();
    tasks.push_back(task);
    ours.push_back(cell_text(entry ? std::optional(entry->pair) : std::nullopt));
    ceilings.push_back(cell_text(entry ? std::optional(entry->ceiling.pair) : std::nullopt));
    papers.push_back(cell_text(paper));
  }
  std::string text = table_line(fmt::format("trained on {}", own), tasks, tasks);
  text += table_line(fmt::format("this run ({})", settings.run.preset), ours, tasks);
  text += table_line("ceiling", ceilings, tasks);
  if (!in_paper) {
    return text + fmt::format("The paper has no numbers for {} trained on {} and tested on {}.\n",
                              settings.run.model, own, fmt::join(tasks, ", "));
  }
  return text + table_line(paper_name(settings.run.model), papers, tasks) +
         comparison_note(settings);
}

}  // namespace farsight
