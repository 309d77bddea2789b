#include "train/repro/repro_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "eval/report/figure.h"
#include "train/repro/seeds.h"
#include "train/task.h"

namespace farsight {
namespace {

constexpr Range kPercent = {0, 100};

using CellKey = std::pair<int, int>;  // length, pairs

/// Every cell's mean over the seeds that are there.
std::map<CellKey, SeedStatistics> cells_of(const Outcomes& outcomes, const Trial& trial) {
  std::map<CellKey, std::vector<double>> values;
  for (const TestScore* score : outcomes.scores(trial)) {
    for (const auto& [cell, percent] : score->cells)
      values[cell].push_back(percent);
  }
  std::map<CellKey, SeedStatistics> cells;
  for (const auto& [cell, list] : values)
    cells.emplace(cell, seed_statistics(list));
  return cells;
}

Point point(double x, const SeedStatistics& statistics) {
  Point result{.x = x, .y = statistics.mean};
  if (statistics.half_width) {
    result.low = std::max(0.0, statistics.mean - *statistics.half_width);
    result.high = std::min(100.0, statistics.mean + *statistics.half_width);
  }
  return result;
}

/// Cells of one trial, a line for each length: x is the number of pairs.
std::vector<Series> by_pairs(const Outcomes& outcomes, const Trial& trial) {
  std::map<int, Series> lines;
  for (const auto& [cell, statistics] : cells_of(outcomes, trial)) {
    Series& line = lines[cell.first];
    line.name = fmt::format("L = {}", cell.first);
    line.points.push_back(point(cell.second, statistics));
  }
  std::vector<Series> series;
  for (auto& [length, line] : lines)
    series.push_back(std::move(line));
  return series;
}

/// A line for each number of pairs: x is the length.
std::vector<Series> by_length(const Outcomes& outcomes, const Trial& trial) {
  std::map<int, Series> lines;
  for (const auto& [cell, statistics] : cells_of(outcomes, trial)) {
    Series& line = lines[cell.second];
    line.name = fmt::format("{} {}", cell.second, cell.second == 1 ? "pair" : "pairs");
    line.points.push_back(point(cell.first, statistics));
  }
  std::vector<Series> series;
  for (auto& [pairs, line] : lines)
    series.push_back(std::move(line));
  return series;
}

/// The mean over cells that share the x of `key`, as one line.
template <class Key>
Series averaged(std::string name, const Outcomes& outcomes, const Trial& trial, const Key& key) {
  std::map<int, std::vector<double>> sums;
  for (const auto& [cell, statistics] : cells_of(outcomes, trial))
    sums[key(cell)].push_back(statistics.mean);
  Series line{.name = std::move(name), .points = {}};
  for (const auto& [x, values] : sums)
    line.points.push_back({.x = static_cast<double>(x), .y = seed_statistics(values).mean});
  return line;
}

Paragraph missing_test(const Outcomes& outcomes, const Trial& trial) {
  return missing(trial.training,
                 fmt::format("no scores on {}: {}", trial.test, outcomes.problem(trial)));
}

std::vector<Block> figure_1(const ExhibitFigure& exhibit, const Outcomes& outcomes,
                            const FigureContext& context) {
  struct Part {
    const char *test, *name, *caption, *x;
    bool lengths;
  };
  constexpr Part kParts[] = {
      {"length", "figure-1-length",
       "One pair at the start of ever longer examples: the length alone.", "length, tokens", true},
      {"density", "figure-1-density", "Many pairs, contiguous, in examples of one length.", "pairs",
       false},
      {"dispersion", "figure-1-dispersion", "Few pairs scattered over the first half.", "pairs",
       false},
  };
  std::vector<Block> blocks;
  for (const Part& part : kParts) {
    const Trial trial = {exhibit.trainings.front(), part.test};
    if (outcomes.scores(trial).empty()) {
      blocks.emplace_back(missing_test(outcomes, trial));
      continue;
    }
    LineFigure figure{.caption = fmt::format("{} {}.", part.caption, describe(trial.training)),
                      .x_label = part.x,
                      .y_label = "pair accuracy, percent",
                      .log_x = true,
                      .y_range = kPercent};
    figure.series = part.lengths ? by_length(outcomes, trial) : by_pairs(outcomes, trial);
    blocks.emplace_back(write_figure(context.folder(), part.name, figure));
  }
  return blocks;
}

std::vector<Block> figure_6b(const ExhibitFigure& exhibit, const Outcomes& outcomes,
                             const FigureContext& context) {
  const Trial& trial = exhibit.trials.front();
  if (outcomes.scores(trial).empty()) return {missing_test(outcomes, trial)};
  LineFigure figure{.caption =
                        "All keys of an example share their last token: accuracy by number "
                        "of pairs. " +
                        describe(trial) + ".",
                    .x_label = "pairs",
                    .y_label = "pair accuracy, percent",
                    .series = by_pairs(outcomes, trial),
                    .log_x = true,
                    .y_range = kPercent};
  figure.series.push_back(averaged("mean over lengths", outcomes, trial,
                                   [](const CellKey& cell) { return cell.second; }));
  figure.series.back().dashed = true;
  return {write_figure(context.folder(), "figure-6b", figure)};
}

std::vector<Block> figure_11(const ExhibitFigure& exhibit, const Outcomes& outcomes,
                             const FigureContext& context) {
  LineFigure figure{.caption =
                        "Trained and tested on standard: accuracy by length, mean over the "
                        "numbers of pairs.",
                    .x_label = "length, tokens",
                    .y_label = "pair accuracy, percent",
                    .log_x = true,
                    .y_range = kPercent};
  std::vector<Block> absent;
  for (const Trial& trial : exhibit.trials) {
    if (outcomes.scores(trial).empty()) {
      absent.emplace_back(missing_test(outcomes, trial));
    } else {
      figure.series.push_back(averaged(trial.training.model, outcomes, trial,
                                       [](const CellKey& cell) { return cell.first; }));
    }
  }
  std::vector<Block> blocks;
  if (!figure.series.empty()) {
    blocks.emplace_back(write_figure(context.folder(), "figure-11", figure));
  }
  blocks.insert(blocks.end(), absent.begin(), absent.end());
  return blocks;
}

std::vector<Block> figure_6a(const ExhibitFigure& exhibit, const Outcomes& outcomes,
                             const FigureContext& context) {
  BarFigure figure{.caption =
                       "The same keys stand in each quarter of the first half, each time "
                       "with another value: whose value is answered.",
                   .x_label = "quarter of the context",
                   .y_label = "share of answers, percent",
                   .groups = {"0-25 %", "25-50 %", "50-75 %", "75-100 %", "none of them"},
                   .y_range = kPercent};
  std::vector<Block> absent;
  for (const Trial& trial : exhibit.trials) {
    const std::optional<std::vector<double>> shares = outcomes.section_shares(trial);
    if (!shares) {
      absent.emplace_back(missing_test(outcomes, trial));
      continue;
    }
    BarFigure::Bars& bars = figure.series.emplace_back();
    bars.name = "trained on " + trial.training.task;
    bars.values.assign(shares->begin(), shares->end());
  }
  std::vector<Block> blocks;
  if (!figure.series.empty()) {
    blocks.emplace_back(write_figure(context.folder(), "figure-6a", figure));
  }
  blocks.insert(blocks.end(), absent.begin(), absent.end());
  return blocks;
}

}  // namespace

Paragraph missing(const Training& training, const std::string& why) {
  return {fmt::format("Missing: {}: {}.", describe(training), why), Verdict::missing};
}

std::vector<Block> figure_blocks(const ExhibitFigure& exhibit, const Outcomes& outcomes,
                                 const FigureContext& context) {
  if (exhibit.name == "1") return figure_1(exhibit, outcomes, context);
  if (exhibit.name == "6a") return figure_6a(exhibit, outcomes, context);
  if (exhibit.name == "6b") return figure_6b(exhibit, outcomes, context);
  if (exhibit.name == "11") return figure_11(exhibit, outcomes, context);
  return matrix_blocks(exhibit, outcomes, context);
}

std::vector<Block> learning_curves(const Outcomes& outcomes, const FigureContext& context) {
  std::map<std::string, LineFigure> figures;  // by training task
  for (std::size_t i = 0; i < outcomes.runs().size(); i++) {
    const PlannedRun& run = outcomes.runs()[i];
    const std::vector<Validation> validations = validations_of(paths_of(context.out, run).folder);
    if (validations.empty()) continue;
    Series line{.name = run.name.substr(run.training.task.size() + 1), .points = {}};
    for (const Validation& validation : validations) {
      const double y = is_language_model(run.settings) ? std::exp(100 - validation.accuracy)
                                                       : validation.accuracy;
      line.points.push_back({.x = static_cast<double>(validation.step), .y = y});
    }
    figures[run.training.task].series.push_back(std::move(line));
  }
  std::vector<Block> blocks;
  for (auto& [task, figure] : figures) {
    figure.caption = fmt::format("Learning curves: trained on {}.", task);
    figure.x_label = "step";
    figure.marks = false;
    if (task == kLanguageTask) {
      figure.y_label = "validation perplexity, a token";
      figure.log_y = true;
    } else {
      figure.y_label = "validation pair accuracy, percent";
      figure.y_range = kPercent;
    }
    blocks.emplace_back(write_figure(context.folder(), "curves-" + task, figure));
  }
  return blocks;
}

}  // namespace farsight
