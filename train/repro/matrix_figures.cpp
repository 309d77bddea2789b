// Figures 4, 8, 9 and 10: what the layers of the model trained on standard mix. The paper's plots
// were made by a script that is not published: which layer, which reduction of the channels and which
// scale it took is unknown. Here: the mean over channels of absolute weights and over the first test
// examples of a cell; the layer that is most selective on standard (eval/probes/layer_quantities.h).
#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "eval/probes/matrix_figure.h"
#include "eval/probes/probe_cell.h"
#include "train/checkpoint.h"
#include "train/exchange.h"
#include "train/repro/repro_figures.h"
#include "train/run_folder.h"
#include "train/task.h"

namespace farsight {
namespace {

constexpr std::int64_t kExamples = 20;
constexpr int kUsualPairs = 8;  // of the paper's figures where the pairs stay the same
constexpr std::size_t kMostPanels = 4;

/// The trained model and the tasks it is shown.
struct Subject {
  const PlannedRun& run;
  Model model;
};

Subject subject_of(const PlannedRun& run, const FigureContext& context) {
  const std::filesystem::path folder = paths_of(context.out, run).folder;
  return {run, model_from(trained_checkpoint(folder), context.device,
                          DType::f32)};  // as farsight probe does
}

/// The cell of this length whose pairs come nearest to `pairs` from below.
std::size_t cell_near(const MqarTask& task, int length, int pairs) {
  std::size_t found = task.cells.size();
  for (std::size_t i = 0; i < task.cells.size(); i++) {
    const Cell& cell = task.cells[i];
    if (cell.length != length || cell.pairs > pairs) continue;
    if (found == task.cells.size() || cell.pairs > task.cells[found].pairs) found = i;
  }
  check(found < task.cells.size(), "figures: {} has no cell of length {}", task.name, length);
  return found;
}

int longest_of(const MqarTask& task) {
  int longest = 0;
  for (const Cell& cell : task.cells)
    longest = std::max(longest, cell.length);
  return longest;
}

std::string title_of(const Cell& cell) {
  return fmt::format("L = {}, {} {}", cell.length, cell.pairs, cell.pairs == 1 ? "pair" : "pairs");
}

HeatMap::Panel panel_of(std::string title, const Tensor& matrix, const MqarTask& task,
                        std::size_t cell) {
  std::vector<ExamplePlaces> places;
  for (std::uint64_t sample = 0; sample < kExamples; sample++) {
    places.push_back(places_of(generate(task, Split::test, kDefaultSeed, cell, sample)));
  }
  return matrix_panel(matrix, std::move(title), places);
}

std::vector<LayerProbe> probed(const Subject& subject, const MqarTask& task, std::size_t cell,
                               std::vector<std::int64_t> layers, bool row_normalised = false) {
  return probe_cell(subject.model, task, cell,
                    {.examples = kExamples,
                     .layers = std::move(layers),
                     .matrices = true,
                     .matrix = {.row_normalised = row_normalised}});
}

std::vector<LayerQuantities> quantities_of(const std::vector<LayerProbe>& probes) {
  std::vector<LayerQuantities> list;
  for (const LayerProbe& probe : probes)
    list.push_back(probe.quantities);
  return list;
}

/// The layer that is most selective on standard.
std::int64_t chosen_layer(const Subject& subject) {
  const MqarTask task = task_of(subject.run.settings, "standard");
  const std::vector<LayerProbe> probes = probe_cell(
      subject.model, task, cell_near(task, longest_of(task), kUsualPairs), {.examples = kExamples});
  return static_cast<std::int64_t>(ranking(quantities_of(probes)).front());
}

HeatMap empty_map(std::string caption, std::int64_t panels_per_row) {
  HeatMap map = matrix_figure(std::move(caption), {});
  map.panels_per_row = panels_per_row;
  return map;
}

std::string share(double part) {
  return fmt::format("{:.1f} %", 100 * part);
}

/// A line of numbers for each panel.
class QuantityTable {
 public:
  explicit QuantityTable(std::string corner)
      : table_{.caption =
                   "Shares of a query row's mass: on the pair that is asked for (selectivity; "
                   "chance: what a row that is the same everywhere would have), on all pairs, "
                   "on each quarter of the first half; and of all rows on the last four "
                   "positions (diagonal).",
               .columns = {{std::move(corner)},
                           {"selectivity", Align::number},
                           {"chance", Align::number},
                           {"all pairs", Align::number},
                           {"1st quarter", Align::number},
                           {"2nd", Align::number},
                           {"3rd", Align::number},
                           {"4th", Align::number},
                           {"diagonal", Align::number}},
               .rows = {}} {}

  void add(const std::string& name, const LayerQuantities& q) {
    table_.rows.push_back({{name},
                           {share(q.selectivity)},
                           {share(q.uniform)},
                           {share(q.pair_share)},
                           {share(q.position_bias[0])},
                           {share(q.position_bias[1])},
                           {share(q.position_bias[2])},
                           {share(q.position_bias[3])},
                           {share(q.diagonal_share)}});
  }
  Table take() { return std::move(table_); }

 private:
  Table table_;
};

std::vector<Block> figure_4(const Subject& subject, const FigureContext& context) {
  const std::int64_t layer = chosen_layer(subject);
  std::vector<Block> blocks;
  QuantityTable table("input");
  for (const bool row_normalised : {false, true}) {
    HeatMap map = empty_map(
        fmt::format("Layer {} (from 0) of a model trained on standard, on three placements{}.",
                    layer, row_normalised ? ", each row divided by its sum" : ""),
        3);
    if (row_normalised) map.value_label = "share of the row";
    for (const char* name : {"standard", "last", "shuffle"}) {
      const MqarTask task = task_of(subject.run.settings, name);
      const std::size_t cell = cell_near(task, longest_of(task), kUsualPairs);
      const LayerProbe probe = probed(subject, task, cell, {layer}, row_normalised).front();
      map.panels.push_back(panel_of(fmt::format("{}, {}", name, title_of(task.cells[cell])),
                                    probe.matrix, task, cell));
      if (!row_normalised) table.add(name, probe.quantities);
    }
    blocks.emplace_back(
        write_figure(context.folder(), row_normalised ? "figure-4-rows" : "figure-4", map));
  }
  blocks.emplace_back(table.take());
  return blocks;
}

/// One layer on several cells of standard.
std::vector<Block> figure_of_cells(const Subject& subject, const FigureContext& context,
                                   const std::string& name, const std::string& what,
                                   const MqarTask& task, const std::vector<std::size_t>& cells) {
  const std::int64_t layer = chosen_layer(subject);
  HeatMap map = empty_map(
      fmt::format("Layer {} (from 0) of a model trained on standard, by {}.", layer, what),
      static_cast<std::int64_t>(cells.size()));
  QuantityTable table("input");
  for (const std::size_t cell : cells) {
    const LayerProbe probe = probed(subject, task, cell, {layer}).front();
    map.panels.push_back(panel_of(title_of(task.cells[cell]), probe.matrix, task, cell));
    table.add(title_of(task.cells[cell]), probe.quantities);
  }
  return {write_figure(context.folder(), name, map), table.take()};
}

/// At most kMostPanels of them, the ends among them.
template <class T>
std::vector<T> spread(const std::vector<T>& list) {
  if (list.size() <= kMostPanels) return list;
  std::vector<T> chosen;
  for (std::size_t i = 0; i < kMostPanels; i++)
    chosen.push_back(list[i * (list.size() - 1) / (kMostPanels - 1)]);
  return chosen;
}

std::vector<Block> figure_8(const Subject& subject, const FigureContext& context) {
  const MqarTask task = task_of(subject.run.settings, "standard");
  std::vector<int> lengths;
  for (const Cell& cell : task.cells) {
    if (lengths.empty() || lengths.back() != cell.length) lengths.push_back(cell.length);
  }
  // Pairs that the shortest of them holds too.
  const int pairs = task.cells[cell_near(task, lengths.front(), kUsualPairs)].pairs;
  std::vector<std::size_t> cells;
  for (const int length : spread(lengths))
    cells.push_back(cell_near(task, length, pairs));
  return figure_of_cells(subject, context, "figure-8", "length", task, cells);
}

std::vector<Block> figure_9(const Subject& subject, const FigureContext& context) {
  const MqarTask task = task_of(subject.run.settings, "standard");
  std::vector<std::size_t> cells;
  for (std::size_t i = 0; i < task.cells.size(); i++) {
    if (task.cells[i].length == longest_of(task)) cells.push_back(i);
  }
  return figure_of_cells(subject, context, "figure-9", "number of pairs", task, spread(cells));
}

std::vector<Block> figure_10(const Subject& subject, const FigureContext& context) {
  const MqarTask task = task_of(subject.run.settings, "standard");
  const std::size_t cell = cell_near(task, longest_of(task), kUsualPairs);
  const std::vector<LayerProbe> probes = probed(subject, task, cell, {});
  HeatMap map = empty_map(
      fmt::format("Every layer of a model trained on standard, {}.", title_of(task.cells[cell])),
      std::min<std::int64_t>(6, static_cast<std::int64_t>(probes.size())));
  for (const LayerProbe& probe : probes)
    map.panels.push_back(panel_of(fmt::format("layer {}", probe.layer), probe.matrix, task, cell));
  QuantityTable table("layer, the most selective first");
  for (const std::size_t layer : ranking(quantities_of(probes)))
    table.add(fmt::format("{}", layer), probes[layer].quantities);
  return {write_figure(context.folder(), "figure-10", map), table.take()};
}

}  // namespace

std::vector<Block> matrix_blocks(const ExhibitFigure& exhibit, const Outcomes& outcomes,
                                 const FigureContext& context) {
  const Training& training = exhibit.trainings.front();
  for (const std::size_t run : outcomes.chosen(training)) {
    if (!outcomes.of(run).trained) continue;
    try {
      const Subject subject = subject_of(outcomes.runs()[run], context);
      if (exhibit.name == "4") return figure_4(subject, context);
      if (exhibit.name == "8") return figure_8(subject, context);
      if (exhibit.name == "9") return figure_9(subject, context);
      return figure_10(subject, context);
    } catch (const Error& error) {  // the rest of the report is worth having
      return {missing(training, error.what())};
    }
  }
  return {missing(training, outcomes.problem({training, training.task}))};
}

}  // namespace farsight
