#include "train/repro/repro_tables.h"

#include <fmt/format.h>

#include "train/reference.h"

namespace farsight {
namespace {

std::string percent(const SeedStatistics& statistics) {
  std::string text = fmt::format("{:.2f}", statistics.mean);
  if (statistics.half_width) text += fmt::format(" ± {:.2f}", *statistics.half_width);
  return text;
}

std::string published(const Trial& trial) {
  if (trial.training.control) return "not in the paper";
  const PaperAccuracy* entry = paper_entry(trial.training.model, trial.training.task, trial.test);
  if (entry == nullptr) return "not in the paper";
  return entry->percent ? fmt::format("paper {:.2f}", *entry->percent) : "paper ✗";
}

TableCell cell_of(const Trial& trial, const Outcomes& outcomes) {
  const std::optional<SeedStatistics> ours = outcomes.accuracy(trial);
  if (!ours) {
    return {"not there", Verdict::missing,
            fmt::format("{}; {}", published(trial), outcomes.problem(trial))};
  }
  std::string note = published(trial);
  if (const auto ceiling = outcomes.scores(trial).front()->ceiling) {
    note += fmt::format(", ceiling {:.2f}", *ceiling);
  }
  const auto planned = static_cast<std::int64_t>(outcomes.chosen(trial.training).size());
  if (ours->count < planned) {
    note += fmt::format(", {} of {} seeds: {}", ours->count, planned, outcomes.problem(trial));
  } else if (ours->count > 1) {
    note += fmt::format(", {} seeds, spread {:.2f}", ours->count, ours->spread);
  }
  return {percent(*ours), judge(trial, accuracies_of(outcomes)), note};
}

/// What can be made of Table 4.
Paragraph remark_on_text(const Outcomes& outcomes) {
  std::string items;
  for (const PlannedRun& run : outcomes.runs()) {
    if (run.language_items == 0) continue;
    items = fmt::format(" Here every task has its first {} items alone.", run.language_items);
  }
  return {
      "Only the perplexity can be a target: the paper's standard errors are about 1.1 points on "
      "PIQA, 0.45 on HellaSwag and 1.4 on WinoGrande, more than its models differ by. Its 3 "
      "billion "
      "tokens are a sample of SlimPajama that it does not name, and a perplexity belongs to its "
      "training text: the order of the rows, trained on the same blocks here, is what to look at. "
      "The "
      "paper's gain by global selection is 1.54. A cell that was not tested lacks its files "
      "(`farsight data fetch`)." +
      items};
}

std::string caption_of(const ExhibitTable& exhibit) {
  const bool text = exhibit.name == kTextTable;
  return fmt::format(
      "Table {}. {}. {}; ± is the 95 % interval of the mean over seeds (Student's t).",
      exhibit.name, exhibit.title,
      text ? "Word perplexity of WikiText-2; accuracy, of HellaSwag normalised by "
             "length, percent; zero-shot; mean over seeds"
           : "Pair accuracy, percent, mean over cells and seeds");
}

}  // namespace

std::string_view verdict_words(Verdict verdict) {
  return verdict == Verdict::none ? "not judged" : name_of(verdict);
}

std::vector<Block> remarks(const ExhibitTable& exhibit, const Outcomes& outcomes) {
  if (exhibit.name == kTextTable) return {remark_on_text(outcomes)};
  if (exhibit.name != "2") return {};
  std::vector<Block> blocks = {Paragraph{
      "The paper's zeros under k1v1 follow from its targets: with one value token, the <SEP> "
      "target of the training set teaches the model to say <SEP> where the second value is scored. "
      "The last column is a run without that target. Token accuracy counts every value token by "
      "itself, so that a first value that is right is seen:"}};
  Table table{.caption = "Table 2 again: token accuracy, percent.",
              .columns = {{exhibit.corner}},
              .rows = {}};
  for (const std::string& column : exhibit.columns)
    table.columns.push_back({column, Align::number});
  for (const ExhibitTable::Row& row : exhibit.rows) {
    std::vector<TableCell>& cells = table.rows.emplace_back();
    cells.push_back({row.heading});
    for (const Trial& trial : row.trials) {
      std::vector<double> tokens;
      for (const TestScore* score : outcomes.scores(trial))
        tokens.push_back(score->token);
      cells.push_back(tokens.empty() ? TableCell{"not there", Verdict::missing}
                                     : TableCell{percent(seed_statistics(tokens))});
    }
  }
  blocks.emplace_back(std::move(table));
  return blocks;
}

Accuracies accuracies_of(const Outcomes& outcomes) {
  return [&outcomes](const Trial& trial) -> std::optional<double> {
    const auto statistics = outcomes.accuracy(trial);
    return statistics ? std::optional(statistics->mean) : std::nullopt;
  };
}

Table comparison(const ExhibitTable& exhibit, const Outcomes& outcomes) {
  Table table{.caption = caption_of(exhibit), .columns = {{exhibit.corner}}, .rows = {}};
  for (const std::string& column : exhibit.columns)
    table.columns.push_back({column, Align::number});
  for (const ExhibitTable::Row& row : exhibit.rows) {
    std::vector<TableCell>& cells = table.rows.emplace_back();
    cells.push_back({row.heading});
    for (const Trial& trial : row.trials)
      cells.push_back(cell_of(trial, outcomes));
  }
  return table;
}

Table judged(std::string caption, std::span<const Claim> claims, const Outcomes& outcomes) {
  Table table{.caption = std::move(caption),
              .columns = {{"claim"}, {"what must hold"}, {"verdict"}, {"the numbers"}},
              .rows = {}};
  const Accuracies accuracies = accuracies_of(outcomes);
  for (const Claim& claim : claims) {
    std::vector<std::string> numbers;
    for (const Condition& premise : claim.premises) {
      const bool holds = judge(premise, accuracies) == Verdict::pass;
      numbers.push_back(fmt::format("premise{}: {}", holds ? "" : " (does not hold)",
                                    describe(premise, accuracies)));
    }
    for (const Condition& condition : claim.conditions) {
      numbers.push_back(fmt::format("{}: {}", name_of(judge(condition, accuracies)),
                                    describe(condition, accuracies)));
    }
    const Verdict verdict = judge(claim, accuracies);
    table.rows.push_back({{claim.name},
                          {claim.statement},
                          {std::string(verdict_words(verdict)), verdict},
                          {fmt::format("{}", fmt::join(numbers, "\n"))}});
  }
  return table;
}

}  // namespace farsight
