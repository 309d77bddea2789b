#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "core/check.h"
#include "core/files.h"
#include "eval/report/figure.h"
#include "eval/report/gnuplot.h"
#include "eval/report/text.h"

namespace farsight {

namespace {

constexpr int kWidth = 760;
constexpr int kHeight = 400;
constexpr std::size_t kMostRowsShown = 64;      // of the numbers below a figure
constexpr std::size_t kFewPoints = 32;          // a symbol each does no harm, and one alone is seen
constexpr std::size_t kMostMarksOfAnAxis = 32;  // written out, one a point that has room
constexpr double kLeastGap = 0.07;              // between numbers, of a logarithmic axis

bool has_band(const Series& series) {
  return std::any_of(series.points.begin(), series.points.end(),
                     [](const Point& point) { return point.low && point.high; });
}

std::set<double> all_x(const LineFigure& figure) {
  std::set<double> x;
  for (const Series& series : figure.series) {
    for (const Point& point : series.points) {
      if (std::isfinite(point.x)) x.insert(point.x);
    }
  }
  return x;
}

/// The points of a series by x; of several at one x, the first.
std::map<double, const Point*> by_x(const Series& series) {
  std::map<double, const Point*> points;
  for (const Point& point : series.points) {
    points.emplace(point.x, &point);
  }
  return points;
}

/// One row an x, a column a series, two more for its interval. Nothing stands where a series has no
/// point, nan where its value is not finite: lines pass over the first and break at the second.
std::vector<std::vector<std::string>> rows_of(const LineFigure& figure) {
  std::vector<std::vector<std::string>> rows = {{figure.x_label.empty() ? "x" : figure.x_label}};
  for (const Series& series : figure.series) {
    rows.front().push_back(series.name);
    if (!has_band(series)) continue;
    rows.front().push_back(series.name + ", low");
    rows.front().push_back(series.name + ", high");
  }
  std::vector<std::map<double, const Point*>> points;
  for (const Series& series : figure.series) {
    points.push_back(by_x(series));
  }
  for (const double x : all_x(figure)) {
    rows.push_back({csv_number(x)});
    std::vector<std::string>& row = rows.back();
    for (std::size_t i = 0; i < figure.series.size(); i++) {
      const Series& series = figure.series[i];
      const auto found = points[i].find(x);
      const Point* point = found == points[i].end() ? nullptr : found->second;
      row.push_back(point != nullptr ? csv_number(point->y) : "");
      if (!has_band(series)) continue;
      row.push_back(point != nullptr && point->low ? csv_number(*point->low) : "");
      row.push_back(point != nullptr && point->high ? csv_number(*point->high) : "");
    }
  }
  return rows;
}

std::string csv_of(const std::vector<std::vector<std::string>>& rows) {
  std::string text;
  for (const std::vector<std::string>& row : rows) {
    for (std::size_t i = 0; i < row.size(); i++) {
      text += (i > 0 ? "," : "") + csv_field(row[i]);
    }
    text += '\n';
  }
  return text;
}

/// As many digits as can be read; the file has all.
std::string shortened(const std::string& number) {
  double value = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
  const bool whole = error == std::errc() && end == number.data() + number.size();
  return whole ? fmt::format("{:.5g}", value) : number;
}

Table shown(const std::vector<std::vector<std::string>>& rows) {
  Table table;
  if (rows.size() > kMostRowsShown + 1) return table;
  for (const std::string& heading : rows.front()) {
    table.columns.push_back({heading, Align::number});
  }
  for (std::size_t i = 1; i < rows.size(); i++) {
    table.rows.emplace_back();
    for (const std::string& text : rows[i]) {
      table.rows.back().push_back({shortened(text)});
    }
  }
  return table;
}

/// Room at both ends, so that the outer points are whole.
std::string x_axis(const LineFigure& figure) {
  const std::set<double> x = all_x(figure);
  if (x.empty()) return "";
  const double low = *x.begin();
  const double high = *x.rbegin();
  const bool log = figure.log_x && low > 0;
  std::string text = log ? "set logscale x 2\n" : "";
  if (log && x.size() <= kMostMarksOfAnAxis) {
    std::string marks;
    double before = 0;
    for (const double value : x) {
      const bool room =
          marks.empty() || std::log(value / before) >= kLeastGap * std::log(high / low);
      if (!room) continue;
      marks += fmt::format("{}{}", marks.empty() ? "" : ", ", value);
      before = value;
    }
    text += fmt::format("set xtics ({})\n", marks);
  }
  if (low == high) return text;
  const double room = 0.025;
  const Range range =
      log ? Range{low * std::pow(high / low, -room), high * std::pow(high / low, room)}
          : Range{low - room * (high - low), high + room * (high - low)};
  return text + fmt::format("set xrange {}\n", gnuplot_range(range));
}

/// The least and the largest y, intervals included.
std::optional<Range> y_extent(const LineFigure& figure) {
  std::optional<Range> extent;
  const auto include = [&](double y) {
    if (!std::isfinite(y)) return;
    if (!extent) extent = Range{y, y};
    extent = Range{std::min(extent->low, y), std::max(extent->high, y)};
  };
  for (const Series& series : figure.series) {
    for (const Point& point : series.points) {
      include(point.y);
      include(point.low.value_or(point.y));
      include(point.high.value_or(point.y));
    }
  }
  return extent;
}

/// 1, 2 and 5 times the powers of ten, where fewer would leave an axis without numbers.
std::string log_marks(const Range& range) {
  constexpr double kFewDecades = 2.5;
  if (std::log10(range.high / range.low) > kFewDecades) return "";
  std::string marks;
  for (double power = std::pow(10, std::floor(std::log10(range.low))); power <= range.high;
       power *= 10) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      const double mark = digit * power;
      if (mark < range.low || mark > range.high) continue;
      marks += fmt::format("{}{:.6g}", marks.empty() ? "" : ", ", mark);
    }
  }
  return marks.empty() ? "" : fmt::format("set ytics ({})\n", marks);
}

std::string y_axis(const LineFigure& figure) {
  const std::optional<Range> extent = figure.y_range ? figure.y_range : y_extent(figure);
  constexpr double kWorthIt = 8;  // times the least: below, a logarithm shows no more
  const bool log =
      figure.log_y && extent && extent->low > 0 && extent->high > kWorthIt * extent->low;
  if (!log) {
    return figure.y_range ? fmt::format("set yrange {}\n", gnuplot_range(*figure.y_range)) : "";
  }
  const double room = figure.y_range ? 1 : 1.15;
  const Range range = {extent->low / room, extent->high * room};
  return fmt::format("set logscale y 10\nset yrange {}\n", gnuplot_range(range)) + log_marks(range);
}

std::string script_of(const LineFigure& figure, const std::string& name) {
  std::string script = script_beginning(name, kWidth, kHeight);
  script += fmt::format("set xlabel {}\nset ylabel {}\n", gnuplot_string(figure.x_label),
                        gnuplot_string(figure.y_label));
  script += x_axis(figure) + y_axis(figure);
  script += figure.series.size() > 1
                ? "set key outside top left horizontal Left reverse samplen 2\n"
                : "set key off\n";
  std::vector<std::string> bands;
  std::vector<std::string> lines;
  int column = 2;
  for (std::size_t i = 0; i < figure.series.size(); i++) {
    const Series& series = figure.series[i];
    const std::string_view colour = series_colour(i);
    // Filled circle, square, triangle, diamond, triangle down, pentagon.
    static constexpr std::array<int, 6> kSymbols = {7, 5, 9, 13, 11, 15};
    const std::string pen =
        fmt::format("linecolor rgb '{}' linewidth 2{}", colour, series.dashed ? " dashtype 2" : "");
    const bool few = series.points.size() <= kFewPoints;
    const bool marks = (figure.marks || few) && !series.dashed;
    lines.push_back(fmt::format(
        "'{}.csv' using 1:{} skip 1 with {} {}{} title {}", name, column,
        marks ? "linespoints" : "lines", pen,
        marks ? fmt::format(" pointtype {} pointsize 0.7", kSymbols[i % kSymbols.size()]) : "",
        gnuplot_string(series.name)));
    column++;
    if (!has_band(series)) continue;
    bands.push_back(fmt::format(
        "'{}.csv' using 1:{}:{} skip 1 with filledcurves fillstyle transparent solid 0.18 noborder "
        "linecolor rgb '{}' notitle",
        name, column, column + 1, colour));
    column += 2;
  }
  bands.insert(bands.end(), lines.begin(), lines.end());
  std::string plots;
  for (const std::string& plot : bands) {
    plots += (plots.empty() ? "" : ", \\\n     ") + plot;
  }
  return script + "plot " + plots + '\n';
}

}  // namespace

Figure write_figure(const std::filesystem::path& folder, const std::string& name,
                    const LineFigure& figure, const Gnuplot& gnuplot) {
  check_figure_name(name);
  make_output_folder(folder);
  const std::vector<std::vector<std::string>> rows = rows_of(figure);
  write_file_atomically(figure_file(folder, name, "csv"), csv_of(rows));
  Figure result{.name = name, .caption = figure.caption};
  result.files.push_back(figure_file(folder, name, "csv"));
  result.data = shown(rows);
  const bool empty = rows.size() == 1;
  if (empty) {
    remove_drawing(folder, name);
    result.note = "There are no numbers yet.";
    return result;
  }
  add_drawing(result, folder, draw(folder, name, script_of(figure, name), gnuplot));
  return result;
}

}  // namespace farsight
