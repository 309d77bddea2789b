#include "train/repro/exhibits.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "train/task.h"

namespace farsight {
namespace {

constexpr PaperModel kModels[] = {
    {"pythia", "Pythia"},
    {"hyena", "Hyena"},
    {"rwkv", "RWKV"},
    {"mamba", "Mamba"},
    {"mamba-2x", "Mamba, 2x state"},
    {"mamba-4x", "Mamba, 4x state"},
    {"mamba-gs", "Mamba, global selection"},
};

/// Every training of Mamba tested on every task: rows are tests, columns are trainings.
ExhibitTable square(std::string name, std::string title, const std::vector<std::string>& tests,
                    const std::vector<Training>& trainings) {
  ExhibitTable table{.name = std::move(name), .title = std::move(title), .corner = "tested on"};
  for (const Training& training : trainings) {
    table.columns.push_back(training.task + (training.control ? ", no <SEP> target" : ""));
  }
  for (const std::string& test : tests) {
    ExhibitTable::Row& row = table.rows.emplace_back(ExhibitTable::Row{.heading = test});
    for (const Training& training : trainings) {
      row.trials.push_back({training, test});
    }
  }
  return table;
}

ExhibitTable table_of_models() {
  struct Column {
    const char *heading, *task, *test;
  };
  constexpr Column kColumns[] = {
      {"Shuffle", "shuffle", "shuffle"},
      {"Std-Last", "standard", "last"},
      {"Std-Shuffle", "standard", "shuffle"},
      {"K2V2", "k2v2", "k2v2"},
      {"K2V2-Robustness", "k2v2", "ngram-robustness"},
      {"K4V8-Shuffle", "k4v8-shuffle", "k4v8-shuffle"},
  };
  ExhibitTable table{.name = "3", .title = "Seven models", .corner = "model"};
  for (const Column& column : kColumns)
    table.columns.emplace_back(column.heading);
  for (const PaperModel& model : kModels) {
    ExhibitTable::Row& row =
        table.rows.emplace_back(ExhibitTable::Row{.heading = std::string(model.title)});
    for (const Column& column : kColumns) {
      row.trials.push_back({{std::string(model.name), column.task}, column.test});
    }
  }
  return table;
}

ExhibitTable table_of_text() {
  constexpr std::pair<const char*, const char*> kTests[] = {
      {"WikiText, word perplexity", "wikitext"},
      {"PIQA", "piqa"},
      {"HellaSwag", "hellaswag"},
      {"WinoGrande", "winogrande"}};
  ExhibitTable table{
      .name = std::string(kTextTable), .title = "Language models", .corner = "model"};
  for (const auto& [heading, test] : kTests)
    table.columns.emplace_back(heading);
  for (const PaperModel& model : kModels) {
    const bool has_row =
        model.name == "pythia" || model.name == "mamba" || model.name == "mamba-gs";
    if (!has_row) continue;
    ExhibitTable::Row& row =
        table.rows.emplace_back(ExhibitTable::Row{.heading = std::string(model.title)});
    for (const auto& [heading, test] : kTests)
      row.trials.push_back({{std::string(model.name), std::string(kLanguageTask)}, test});
  }
  return table;
}

std::vector<ExhibitTable> make_tables() {
  return {
      square("1", "Positional patterns, Mamba", {"standard", "last", "shuffle"},
             {{"mamba", "standard"}, {"mamba", "last"}, {"mamba", "shuffle"}}),
      square("2", "N-gram gathering, Mamba", {"k1v1", "k1v2", "k2v2"},
             {{"mamba", "k1v1"}, {"mamba", "k1v2"}, {"mamba", "k2v2"}, {"mamba", "k1v1", true}}),
      table_of_models(), table_of_text()};
}

std::vector<ExhibitFigure> make_figures() {
  const Training standard = {"mamba", "standard"}, last = {"mamba", "last"};
  const Training k2v2 = {"mamba", "k2v2"};
  ExhibitFigure eleven{.name = "11", .title = "Accuracy by length, all models"};
  for (const PaperModel& model : kModels) {
    const Training training = {std::string(model.name), "standard"};
    eleven.trainings.push_back(training);
    eleven.trials.push_back({training, "standard"});
  }
  return {
      {"1",
       "Length, density and dispersion",
       {standard},
       {{standard, "length"}, {standard, "density"}, {standard, "dispersion"}}},
      {"4", "Attention-like matrices by placement", {standard}, {}},
      {"6a",
       "Which of four copies is answered",
       {standard, last},
       {{standard, "position-robustness"}, {last, "position-robustness"}}},
      {"6b", "Key noise by number of pairs", {k2v2}, {{k2v2, "ngram-robustness"}}},
      {"8", "Attention-like matrices by length", {standard}, {}},
      {"9", "Attention-like matrices by number of pairs", {standard}, {}},
      {"10", "Attention-like matrices of every layer", {standard}, {}},
      eleven,
  };
}

template <class T>
void add_once(std::vector<T>& list, const T& value) {
  if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

bool contains(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

/// The names in a list separated by commas; "6" stands for every name that is 6 and a letter.
std::vector<std::string> named(std::string_view list, std::string_view flag,
                               const std::vector<std::string>& known,
                               const std::vector<std::string>& all) {
  if (list == "all") return all;
  if (list == "none") return {};
  std::vector<std::string> names;
  for (std::size_t from = 0; from <= list.size();) {
    const std::size_t end = std::min(list.find(',', from), list.size());
    const std::string_view word = list.substr(from, end - from);
    bool found = false;
    for (const std::string& name : known) {
      const bool part = name.size() == word.size() + 1 && name.starts_with(word) &&
                        name.back() >= 'a' && !word.empty();
      if (name != word && !part) continue;
      add_once(names, name);
      found = true;
    }
    require(found, ExitCode::usage, "{} must be all, none or some of {}, got '{}'", flag,
            fmt::join(known, ", "), word);
    from = end + 1;
  }
  return names;
}

}  // namespace

std::span<const PaperModel> paper_models() {
  return kModels;
}

const std::vector<ExhibitTable>& exhibit_tables() {
  static const std::vector<ExhibitTable> tables = make_tables();
  return tables;
}

const std::vector<ExhibitFigure>& exhibit_figures() {
  static const std::vector<ExhibitFigure> figures = make_figures();
  return figures;
}

Wanted all_exhibits() {
  Wanted wanted;
  for (const ExhibitTable& table : exhibit_tables()) {
    if (table.name != kTextTable) wanted.tables.push_back(table.name);
  }
  for (const ExhibitFigure& figure : exhibit_figures())
    wanted.figures.push_back(figure.name);
  return wanted;
}

std::vector<std::string> table_names(std::string_view list) {
  std::vector<std::string> known;
  for (const ExhibitTable& table : exhibit_tables())
    known.push_back(table.name);
  return named(list, "--table", known, all_exhibits().tables);
}

std::vector<std::string> figure_names(std::string_view list) {
  return named(list, "--figure", all_exhibits().figures, all_exhibits().figures);
}

std::vector<Trial> trials_of(const Wanted& wanted) {
  std::vector<Trial> trials;
  for (const ExhibitTable& table : exhibit_tables()) {
    if (!contains(wanted.tables, table.name)) continue;
    for (const ExhibitTable::Row& row : table.rows) {
      for (const Trial& trial : row.trials)
        add_once(trials, trial);
    }
  }
  for (const ExhibitFigure& figure : exhibit_figures()) {
    if (!contains(wanted.figures, figure.name)) continue;
    for (const Trial& trial : figure.trials)
      add_once(trials, trial);
  }
  return trials;
}

std::vector<Training> trainings_of(const Wanted& wanted) {
  std::vector<Training> trainings;
  for (const Trial& trial : trials_of(wanted)) {
    add_once(trainings, trial.training);
  }
  for (const ExhibitFigure& figure : exhibit_figures()) {
    if (!contains(wanted.figures, figure.name)) continue;
    for (const Training& training : figure.trainings)
      add_once(trainings, training);
  }
  return trainings;
}

}  // namespace farsight
