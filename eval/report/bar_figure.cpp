#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/files.h"
#include "eval/report/figure.h"
#include "eval/report/gnuplot.h"
#include "eval/report/text.h"

namespace farsight {

namespace {

constexpr int kWidth = 760;
constexpr int kHeight = 400;
constexpr double kGroupWidth = 0.8;  // of the distance between groups

using Bars = BarFigure::Bars;

void check_sizes(const BarFigure& figure) {
  for (const Bars& bars : figure.series) {
    check(bars.values.size() == figure.groups.size(),
          "write_figure: series '{}' must have one value a group, got {} for {} groups", bars.name,
          bars.values.size(), figure.groups.size());
    check(bars.intervals.empty() || bars.intervals.size() == bars.values.size(),
          "write_figure: series '{}' must have one interval a group or none, got {}", bars.name,
          bars.intervals.size());
  }
}

std::string number_of(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? csv_number(*value) : "";
}

/// index,group, then a column a series and two more for its intervals.
Table numbers_of(const BarFigure& figure) {
  Table table;
  table.columns = {{"group"}};
  for (const Bars& bars : figure.series) {
    table.columns.push_back({bars.name, Align::number});
    if (bars.intervals.empty()) continue;
    table.columns.push_back({bars.name + ", low", Align::number});
    table.columns.push_back({bars.name + ", high", Align::number});
  }
  for (std::size_t i = 0; i < figure.groups.size(); i++) {
    table.rows.push_back({{figure.groups[i]}});
    for (const Bars& bars : figure.series) {
      table.rows.back().push_back({number_of(bars.values[i])});
      if (bars.intervals.empty()) continue;
      const std::optional<Range>& interval = bars.intervals[i];
      table.rows.back().push_back({interval ? csv_number(interval->low) : ""});
      table.rows.back().push_back({interval ? csv_number(interval->high) : ""});
    }
  }
  return table;
}

/// The table with the group's number in front: where its bars stand.
std::string csv_of(const Table& table) {
  std::string text = "index";
  for (const Column& column : table.columns) {
    text += ',' + csv_field(column.heading);
  }
  text += '\n';
  for (std::size_t i = 0; i < table.rows.size(); i++) {
    text += fmt::format("{}", i);
    for (const TableCell& cell : table.rows[i]) {
      text += ',' + csv_field(cell.text);
    }
    text += '\n';
  }
  return text;
}

std::string group_axis(const BarFigure& figure) {
  std::string marks;
  std::size_t letters = 0;
  for (std::size_t i = 0; i < figure.groups.size(); i++) {
    marks += fmt::format("{}{} {}", i > 0 ? ", " : "", gnuplot_mark(figure.groups[i]), i);
    letters += figure.groups[i].size() + 2;
  }
  constexpr std::size_t kLettersOfALine = 84;
  return fmt::format("set xtics ({}) scale 0{}\nset xrange [-0.5:{}]\n", marks,
                     letters > kLettersOfALine ? " rotate by -35" : "",
                     static_cast<double>(figure.groups.size()) - 0.5);
}

std::string script_of(const BarFigure& figure, const std::string& name) {
  std::string script = script_beginning(name, kWidth, kHeight);
  script += fmt::format("set xlabel {}\nset ylabel {}\n", gnuplot_string(figure.x_label),
                        gnuplot_string(figure.y_label));
  script += group_axis(figure);
  script += figure.y_range ? fmt::format("set yrange {}\n", gnuplot_range(*figure.y_range))
                           : "set yrange [0<*:]\n";
  script += figure.series.size() > 1
                ? "set key outside top left horizontal Left reverse samplen 1\n"
                : "set key off\n";
  script += "set style fill solid 0.9 noborder\n";
  const double width = kGroupWidth / static_cast<double>(figure.series.size());
  std::string plots;
  int column = 3;
  for (std::size_t i = 0; i < figure.series.size(); i++) {
    const Bars& bars = figure.series[i];
    const double shift = (static_cast<double>(i) + 0.5) * width - kGroupWidth / 2;
    plots += plots.empty() ? "" : ", \\\n     ";
    plots += fmt::format(
        "'{}.csv' using ($1+({:.5f})):{}:({:.5f}) skip 1 with boxes linecolor rgb '{}' title {}",
        name, shift, column, width * 0.94, series_colour(i), gnuplot_string(bars.name));
    column++;
    if (bars.intervals.empty()) continue;
    plots += fmt::format(
        ", \\\n     '{}.csv' using ($1+({:.5f})):{}:(0):(${}-${}) skip 1 with vectors nohead "
        "linecolor rgb '#808890' linewidth 2 notitle",
        name, shift, column, column + 1, column);
    column += 2;
  }
  return script + "plot " + plots + '\n';
}

}  // namespace

Figure write_figure(const std::filesystem::path& folder, const std::string& name,
                    const BarFigure& figure, const Gnuplot& gnuplot) {
  check_figure_name(name);
  check_sizes(figure);
  make_output_folder(folder);
  Figure result{.name = name, .caption = figure.caption};
  result.data = numbers_of(figure);
  write_file_atomically(figure_file(folder, name, "csv"), csv_of(result.data));
  result.files.push_back(figure_file(folder, name, "csv"));
  const bool any = std::any_of(figure.series.begin(), figure.series.end(), [](const Bars& bars) {
    return std::any_of(bars.values.begin(), bars.values.end(),
                       [](const auto& value) { return value && std::isfinite(*value); });
  });
  if (!any) {
    remove_drawing(folder, name);
    result.note = "There are no numbers yet.";
    return result;
  }
  add_drawing(result, folder, draw(folder, name, script_of(figure, name), gnuplot));
  return result;
}

}  // namespace farsight
