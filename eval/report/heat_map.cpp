#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "core/check.h"
#include "core/files.h"
#include "core/safetensors.h"
#include "eval/report/figure.h"
#include "eval/report/gnuplot.h"
#include "eval/report/heat_map_cells.h"
#include "eval/report/text.h"

namespace farsight {

namespace {

using Panel = HeatMap::Panel;
using Mark = HeatMap::Mark;

void check_sizes(const HeatMap& figure) {
  check(!figure.panels.empty(), "write_figure: a heat map must have a panel");
  check(figure.panels_per_row >= 1, "write_figure: panels_per_row must be at least 1, got {}",
        figure.panels_per_row);
  for (const Panel& panel : figure.panels) {
    const bool fits = panel.rows >= 1 && panel.columns >= 1 &&
                      static_cast<std::int64_t>(panel.values.size()) == panel.rows * panel.columns;
    check(fits, "write_figure: panel '{}' must have {} x {} values, got {}", panel.title,
          panel.rows, panel.columns, panel.values.size());
  }
}

/// Where things stand on the canvas, in pixels from the lower left corner.
struct Layout {
  std::int64_t panels_per_row = 1, rows = 1;
  double panel_width = 0, panel_height = 0;
  double left = 64, right = 96, top = 34, bottom = 56;
  double gap_x = 0, gap_y = 0;
  double width = 0, height = 0;
};

Layout layout_of(const HeatMap& figure) {
  Layout layout;
  const auto panels = static_cast<std::int64_t>(figure.panels.size());
  layout.panels_per_row = std::min(figure.panels_per_row, panels);
  layout.rows = (panels + layout.panels_per_row - 1) / layout.panels_per_row;
  const bool alone = panels == 1;
  layout.gap_x = 14;
  layout.gap_y = 34;
  layout.width = layout.panels_per_row <= 2 ? 760 : 980;
  const double inner = layout.width - layout.left - layout.right -
                       layout.gap_x * static_cast<double>(layout.panels_per_row - 1);
  layout.panel_width = inner / static_cast<double>(layout.panels_per_row);
  if (alone) layout.panel_width = std::min(layout.panel_width, 460.0);
  const Panel& first = figure.panels.front();
  const double shape = static_cast<double>(first.rows) / static_cast<double>(first.columns);
  layout.panel_height = layout.panel_width * std::clamp(shape, 0.2, 2.0);
  if (alone) layout.width = layout.left + layout.panel_width + layout.right;
  layout.height = layout.top + layout.bottom +
                  layout.panel_height * static_cast<double>(layout.rows) +
                  layout.gap_y * static_cast<double>(layout.rows - 1);
  return layout;
}

constexpr std::string_view kPalette =
    "set palette defined (0 '#000004', 0.15 '#210c4a', 0.3 '#57106e', 0.45 '#8a226a', 0.6 "
    "'#bc3754', 0.75 '#e45a31', 0.88 '#f98e09', 0.96 '#f9cb35', 1 '#fcffa4')\n";
constexpr std::string_view kSignedPalette =
    "set palette defined (0 '#0b3c6f', 0.25 '#4a90c8', 0.5 '#f6f6f4', 0.75 '#d9663a', 1 "
    "'#7d1f10')\n";

std::string csv_name(const std::string& name, std::size_t panel) {
  return panel == 0 ? name : fmt::format("{}-{}", name, panel + 1);
}

std::string marks_of(const Panel& panel) {
  std::string script = "unset object\n";
  for (const Mark& mark : panel.marks) {
    script += fmt::format(
        "set object rectangle from {},{} to {},{} front fillstyle empty border linecolor rgb "
        "'#35c3e8' linewidth 1.2\n",
        static_cast<double>(mark.first_column) - 0.5, static_cast<double>(mark.first_row) - 0.5,
        static_cast<double>(mark.last_column) + 0.5, static_cast<double>(mark.last_row) + 0.5);
  }
  return script;
}

/// The command that fills one panel. Cells stand where the middle of their block is.
std::string cells_of(const DrawnCells& drawn, const std::string& csv) {
  const auto middle = [](int column, std::int64_t block) {
    return block == 1
               ? fmt::format("{}", column)
               : fmt::format("(${}*{}+{})", column, block, static_cast<double>(block - 1) / 2);
  };
  const std::string x = middle(1, drawn.block_columns);
  const std::string y = middle(2, drawn.block_rows);
  if (drawn.rows > 1 && drawn.columns > 1) {
    return fmt::format("plot '{}.csv' matrix using {}:{}:3 with image notitle\n", csv, x, y);
  }
  // An image needs two cells a side.
  return fmt::format(
      "plot '{}.csv' matrix using {}:{}:({}):({}):3 with boxxyerror fillstyle solid noborder "
      "linecolor palette notitle\n",
      csv, x, y, static_cast<double>(drawn.block_columns) / 2,
      static_cast<double>(drawn.block_rows) / 2);
}

/// Between the numbers of an axis: a power of two, as lengths are.
std::int64_t step_of(std::int64_t cells, std::int64_t marks) {
  std::int64_t step = 1;
  while (step * marks < cells)
    step *= 2;
  return step;
}

std::string panel_script(const HeatMap& figure, const Layout& layout, const DrawnCells& drawn,
                         const std::string& name, std::size_t index) {
  const Panel& panel = figure.panels[index];
  const auto place = static_cast<std::int64_t>(index);
  const std::int64_t column = place % layout.panels_per_row;
  const std::int64_t row = place / layout.panels_per_row;
  const double x = layout.left + static_cast<double>(column) * (layout.panel_width + layout.gap_x);
  const double top =
      layout.height - layout.top - static_cast<double>(row) * (layout.panel_height + layout.gap_y);
  std::string script = fmt::format(
      "set lmargin at screen {:.5f}\nset rmargin at screen {:.5f}\n"
      "set tmargin at screen {:.5f}\nset bmargin at screen {:.5f}\n",
      x / layout.width, (x + layout.panel_width) / layout.width, top / layout.height,
      (top - layout.panel_height) / layout.height);
  script += fmt::format("set title {}\n", gnuplot_string(panel.title));
  // Numbers at the outer sides only, where all panels have the same axes.
  const bool lowest =
      place + layout.panels_per_row >= static_cast<std::int64_t>(figure.panels.size());
  const bool same =
      std::all_of(figure.panels.begin(), figure.panels.end(), [&](const Panel& other) {
        return other.rows == panel.rows && other.columns == panel.columns;
      });
  const std::int64_t marks = layout.panel_width > 300 ? 8 : 4;
  script += fmt::format("set format x '{}'\nset xtics {}\n", lowest || !same ? "%g" : "",
                        step_of(panel.columns, marks));
  script += fmt::format("set format y '{}'\nset ytics {}\n", column == 0 || !same ? "%g" : "",
                        step_of(panel.rows, marks));
  script += fmt::format("set xrange [-0.5:{}]\nset yrange [{}:-0.5]\n",
                        static_cast<double>(drawn.columns * drawn.block_columns) - 0.5,
                        static_cast<double>(drawn.rows * drawn.block_rows) - 0.5);
  if (index == 1) script += "unset colorbox\nunset label\n";  // one of each is enough
  return script + marks_of(panel) + cells_of(drawn, csv_name(name, index));
}

std::string script_of(const HeatMap& figure, const std::vector<DrawnCells>& drawn,
                      const Range& scale, const std::string& name) {
  const Layout layout = layout_of(figure);
  std::string script = script_beginning(name, static_cast<int>(std::lround(layout.width)),
                                        static_cast<int>(std::lround(layout.height)));
  script += "unset grid\nset border 15\nset key off\nset title offset 0,-0.6\n";
  script += scale.low < 0 ? kSignedPalette : kPalette;
  const double bar_height = std::min(layout.height - layout.top - layout.bottom, 320.0);
  script += fmt::format(
      "set cbrange {}\nset cblabel {}\nset cbtics scale 0.4\n"
      "set colorbox user origin screen {:.5f},{:.5f} size screen {:.5f},{:.5f}\n",
      gnuplot_range(scale), gnuplot_string(figure.value_label),
      (layout.width - layout.right + 14) / layout.width,
      (layout.height - layout.top - bar_height) / layout.height, 12 / layout.width,
      bar_height / layout.height);
  script += fmt::format(
      "set label 1 {} at screen {:.5f},{:.5f} center\n"
      "set label 2 {} at screen {:.5f},{:.5f} center rotate by 90\n",
      gnuplot_string(figure.x_label),
      (layout.left + (layout.width - layout.left - layout.right) / 2) / layout.width,
      13 / layout.height, gnuplot_string(figure.y_label), 14 / layout.width,
      (layout.bottom + (layout.height - layout.top - layout.bottom) / 2) / layout.height);
  script += "set multiplot\n";
  for (std::size_t i = 0; i < drawn.size(); i++) {
    script += panel_script(figure, layout, drawn[i], name, i);
  }
  return script + "unset multiplot\n";
}

/// All values: the CSV holds what was drawn.
void save_values(const std::filesystem::path& path, const HeatMap& figure) {
  std::vector<NamedTensor> tensors;
  Metadata titles;
  for (std::size_t i = 0; i < figure.panels.size(); i++) {
    const Panel& panel = figure.panels[i];
    const std::string name = fmt::format("panel-{:04}", i + 1);
    const std::span<const float> values = panel.values;
    tensors.push_back({name, Tensor::from(values, {panel.rows, panel.columns})});
    titles[name] = readable(panel.title);
  }
  save_safetensors(path, tensors, titles);
}

std::string note_of(const std::vector<DrawnCells>& drawn, bool chosen, const Range& scale) {
  std::int64_t rows = 1;
  std::int64_t columns = 1;
  for (const DrawnCells& panel : drawn) {
    rows = std::max(rows, panel.block_rows);
    columns = std::max(columns, panel.block_columns);
  }
  std::string note;
  if (rows > 1 || columns > 1) {
    note = fmt::format(
        "Drawn as means of blocks of up to {} x {} cells; all values are in the safetensors "
        "file.",
        rows, columns);
  }
  if (!chosen) {
    note += fmt::format("{}The scale ends at {:.3g}, the 99.5th percentile of the drawn cells.",
                        note.empty() ? "" : " ", scale.high);
  }
  return note;
}

}  // namespace

Figure write_figure(const std::filesystem::path& folder, const std::string& name,
                    const HeatMap& figure, const Gnuplot& gnuplot) {
  check_figure_name(name);
  check_sizes(figure);
  make_output_folder(folder);
  const bool grid = figure.panels.size() > 1;
  std::vector<DrawnCells> drawn;
  bool is_reduced = false;
  Figure result{.name = name, .caption = figure.caption};
  for (std::size_t i = 0; i < figure.panels.size(); i++) {
    drawn.push_back(reduced(figure.panels[i], grid ? kMostDrawnCellsInGrid : kMostDrawnCells));
    is_reduced = is_reduced || drawn[i].block_rows > 1 || drawn[i].block_columns > 1;
    const std::filesystem::path csv = figure_file(folder, csv_name(name, i), "csv");
    write_file_atomically(csv, csv_of(drawn[i]));
    result.files.push_back(csv);
  }
  const std::filesystem::path values = figure_file(folder, name, "safetensors");
  if (is_reduced) {
    save_values(values, figure);
    result.files.push_back(values);
  } else {
    std::error_code ignored;
    std::filesystem::remove(values, ignored);
  }
  const Range scale = figure.scale.value_or(scale_of(drawn));
  result.note = note_of(drawn, figure.scale.has_value(), scale);
  add_drawing(result, folder, draw(folder, name, script_of(figure, drawn, scale, name), gnuplot));
  return result;
}

}  // namespace farsight
