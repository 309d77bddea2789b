// A report with every kind of block and hostile names: what the tests of the three forms and of the
// page in a browser look at.
#pragma once

#include <cmath>
#include <filesystem>
#include <string>

#include "eval/report/document.h"
#include "eval/report/figure.h"

namespace farsight {

/// What somebody might call a run, or put into a settings file.
inline const std::string kHostileName =
    "<script>alert(1)</script> & \"x' | *a* _b_ [c](javascript:d) \x1b[31m\xff ${e} 'f'";

inline Table example_table() {
  Table table{.caption =
                  "Pair accuracy in percent, mean over three seeds. Rows are test sets, "
                  "columns training sets.",
              .columns = {{"test"},
                          {"standard", Align::number},
                          {"last", Align::number},
                          {"shuffle", Align::number}}};
  table.rows = {
      {{"standard"},
       {"99.61 ± 0.10", Verdict::pass, "paper 99.72, ceiling 100"},
       {"78.20 ± 2.41", Verdict::none, "paper 82.64, ceiling 100"},
       {"92.13 ± 1.02", Verdict::pass, "paper 90.80, ceiling 100"}},
      {{"last"},
       {"12.80 ± 3.33", Verdict::pass, "paper 15.44, ceiling 100"},
       {"99.02 ± 0.21", Verdict::pass, "paper 99.35, ceiling 100"},
       {"80.40 ± 1.70", Verdict::none, "paper 78.09, ceiling 100"}},
      {{"shuffle"},
       {"52.37 ± 6.01", Verdict::fail, "paper 22.37, ceiling 99.9"},
       {"54.99 ± 2.87", Verdict::none, "paper 54.08, ceiling 99.9"},
       {"–", Verdict::missing, "paper 80.98; the run failed twice"}},
  };
  return table;
}

/// More columns than a telephone is wide.
inline Table example_wide_table() {
  Table table{.caption = "Accuracy by cell, length × pairs, percent.", .columns = {{"model"}}};
  for (const char* cell :
       {"64×1", "64×4", "64×16", "128×4", "128×32", "256×8", "256×64", "512×16", "512×128"}) {
    table.columns.push_back({cell, Align::number});
  }
  for (const char* model : {"Mamba", "Mamba, 2x state", "Mamba, global selection", "Pythia"}) {
    table.rows.push_back({{model}});
    for (int i = 0; i < 9; i++) {
      table.rows.back().push_back({std::to_string(99 - 7 * i) + ".25"});
    }
  }
  return table;
}

inline LineFigure example_lines() {
  LineFigure figure{.caption =
                        "Accuracy by number of pairs under key noise; the band is the 95 % "
                        "interval over three seeds.",
                    .x_label = "pairs",
                    .y_label = "pair accuracy, percent",
                    .log_x = true,
                    .y_range = Range{0, 100}};
  Series plain{.name = "Mamba"};
  Series gated{.name = "Mamba, global selection"};
  Series paper{.name = "ceiling", .dashed = true};
  for (int i = 0; i < 7; i++) {
    const double pairs = std::exp2(i);
    const double accuracy = 98 / (1 + std::exp(1.6 * (i - 3.4)));
    plain.points.push_back({pairs, accuracy, accuracy - 5, accuracy + 4});
    const double better = 99 / (1 + std::exp(1.2 * (i - 5.1)));
    gated.points.push_back({pairs, better, better - 3, better + 2});
    paper.points.push_back({pairs, 100.0 - 0.05 * i});
  }
  figure.series = {plain, gated, paper};
  return figure;
}

inline BarFigure example_bars() {
  return {.caption = "Share of answers that come from each quarter of the context.",
          .x_label = "quarter of the context",
          .y_label = "share, percent",
          .groups = {"0–25 %", "25–50 %", "50–75 %", "75–100 %"},
          .series = {{"trained on standard", {88.0, 7.0, 3.0, 2.0}},
                     {"trained on last",
                      {4.0, 6.5, std::nullopt, 72.1},
                      {Range{2, 6}, Range{5, 8}, std::nullopt, Range{66, 78}}}}};
}

inline HeatMap::Panel example_matrix(std::int64_t size, double slope, std::string title) {
  HeatMap::Panel panel{.title = std::move(title), .rows = size, .columns = size};
  panel.values.assign(static_cast<std::size_t>(size * size), 0.0F);
  for (std::int64_t t = 0; t < size; t++) {
    for (std::int64_t s = 0; s <= t; s++) {
      const auto distance = static_cast<double>(t - s);
      const double value =
          std::exp(-distance / slope) + 0.3 * std::exp(-static_cast<double>(s) / (0.1 * slope + 2));
      panel.values[static_cast<std::size_t>(t * size + s)] = static_cast<float>(value);
    }
  }
  return panel;
}

inline HeatMap example_matrices(std::int64_t panels, std::int64_t per_row, std::int64_t size) {
  HeatMap figure{.caption = "Attention-like matrices: mean absolute weight over channels.",
                 .x_label = "source position",
                 .y_label = "target position",
                 .value_label = "weight",
                 .panels_per_row = per_row};
  for (std::int64_t i = 0; i < panels; i++) {
    figure.panels.push_back(
        example_matrix(size, 2 + 3 * static_cast<double>(i), "layer " + std::to_string(i)));
  }
  figure.panels.front().marks.push_back({0, 0, size / 8, size / 8});
  return figure;
}

inline Report example_report(const std::filesystem::path& folder, const Gnuplot& gnuplot = {}) {
  Report report{.title = "Shortcuts of Mamba, pocket preset",
                .summary = {"Mamba and Pythia on the recall tasks, three seeds, 2 threads, 41 min.",
                            "14 of 16 statements hold. One run failed twice. Made by `farsight "
                            "repro --level pocket`."}};
  report.sections.push_back(
      {"Positions",
       {Paragraph{"Models are trained on one placement of the pairs and tested on all three. What "
                  "counts is where accuracy falls, not how high it is."},
        example_table(),
        Paragraph{"Standard-trained collapses on last: 12.80 ≤ 40.", Verdict::pass},
        Paragraph{"Standard-trained collapses on shuffle: 52.37 > 50.", Verdict::fail},
        Paragraph{"Shuffle-trained on shuffle: not run.", Verdict::missing},
        example_wide_table()}});
  report.sections.push_back({"Noise",
                             {write_figure(folder, "noise", example_lines(), gnuplot),
                              write_figure(folder, "quarters", example_bars(), gnuplot)}});
  report.sections.push_back(
      {"Matrices",
       {write_figure(folder, "matrix", example_matrices(1, 1, 96), gnuplot),
        write_figure(folder, "layers", example_matrices(8, 4, 160), gnuplot)}});
  report.sections.push_back(
      {"Settings",
       {NamedValues{.caption = "What defines the protocol.",
                    .entries = {{"run.recipe", "paper-code", "flag"},
                                {"train.lr", "0.001", "preset"},
                                {"data.lengths", "[16, 32, 64]", "preset"},
                                {kHostileName, kHostileName, kHostileName}}},
        NamedValues{.caption = "All settings",
                    .entries = {{"model.d_model", "64"}, {"model.n_layer", "2"}},
                    .folded = true},
        Heading{"Again"}, Preformatted{"make repro LEVEL=pocket\nmake report RUN=runs/a"},
        List{{"The shuffle set has keys bound to two values.", kHostileName}}}});
  report.footer = "farsight 0.1.0 (`abc1234`, Release, CPU only)";
  return report;
}

}  // namespace farsight
