// Figures: each becomes data (NAME.csv), a gnuplot script that draws it (NAME.gp) and, where
// gnuplot is installed, the picture (NAME.svg), which pages have inline.
//
//   LineFigure figure{.caption = "Accuracy by number of pairs", .x_label = "pairs",
//                     .y_label = "accuracy, percent", .log_x = true};
//   figure.series.push_back({.name = "mamba", .points = {{1, 99.2}, {2, 98.1}}});
//   section.blocks.push_back(write_figure(folder, "figure-6b", figure));
//
// `gnuplot NAME.gp` in the folder draws it again, by hand changed or not. Without gnuplot, or when
// it fails or hangs, data and script are there all the same and the note says why there is no
// picture: drawing is never a reason for a run to fail. Values that are not finite are gaps.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "eval/report/document.h"

namespace farsight {

struct Point {
  double x = 0, y = 0;
  std::optional<double> low{}, high{};  ///< of an interval round y: a band behind the line
};

struct Series {
  std::string name;
  std::vector<Point> points{};
  bool dashed = false;  ///< for what is not ours: the paper's numbers, a ceiling, chance
};

/// Axes start and end where the data do unless a range is given.
struct Range {
  double low = 0, high = 100;
};

struct LineFigure {
  std::string caption{};
  std::string x_label{}, y_label{};  ///< with units
  std::vector<Series> series{};
  bool log_x = false;  ///< base 2: lengths, numbers of pairs
  bool log_y = false;  ///< base 10: losses; where they are positive and differ much
  bool marks = true;   ///< a symbol at each point; false: only in series of few points
  std::optional<Range> y_range{};
};

/// Groups of bars: group i has the bar values[i] of every series. Empty values leave their place
/// free.
struct BarFigure {
  struct Bars {
    std::string name;
    std::vector<std::optional<double>> values{};    ///< one a group
    std::vector<std::optional<Range>> intervals{};  ///< round the values; empty, or one a group
  };
  std::string caption{};
  std::string x_label{}, y_label{};
  std::vector<std::string> groups{};
  std::vector<Bars> series{};
  std::optional<Range> y_range{};
};

/// One matrix, or many side by side with one scale for all.
struct HeatMap {
  /// A rectangle drawn round cells: where the pairs are, say. Rows and columns count from 0, the
  /// last ones included.
  struct Mark {
    std::int64_t first_row = 0, first_column = 0, last_row = 0, last_column = 0;
  };
  struct Panel {
    std::string title{};
    std::int64_t rows = 0, columns = 0;
    std::vector<float> values{};  ///< row-major; row 0 is drawn on top
    std::vector<Mark> marks{};
  };
  std::string caption{};
  std::string x_label{}, y_label{};  ///< of columns and rows: "source position", "target position"
  std::string value_label{};         ///< of the scale
  std::vector<Panel> panels{};
  std::int64_t panels_per_row = 1;
  /// The ends of the colour scale; without: 0 to the 99.5th percentile of all panels, or the same
  /// on both sides of 0 where a value is negative.
  std::optional<Range> scale{};
};

/// How pictures are drawn.
struct Gnuplot {
  std::string program = "gnuplot";  ///< a name looked up in PATH, or a path
  double timeout_seconds = 30;
};

/// Cells that a heat map has a side at most when it is drawn: a larger one is drawn as the means of
/// blocks of cells, and the note says so. NAME.csv (NAME-2.csv, ... for the other panels) has the
/// drawn cells; then NAME.safetensors has all values, a tensor a panel.
inline constexpr std::int64_t kMostDrawnCells = 256;
/// The same for the panels of a grid.
inline constexpr std::int64_t kMostDrawnCellsInGrid = 128;

/// Writes the files into `folder`, which is made if it is not there; replaces older ones. `name`
/// consists of a-z, A-Z, 0-9, - and _. Throws Error(storage) if the files cannot be written,
/// Error(internal) if sizes do not fit together.
Figure write_figure(const std::filesystem::path& folder, const std::string& name,
                    const LineFigure& figure, const Gnuplot& gnuplot = {});
Figure write_figure(const std::filesystem::path& folder, const std::string& name,
                    const BarFigure& figure, const Gnuplot& gnuplot = {});
Figure write_figure(const std::filesystem::path& folder, const std::string& name,
                    const HeatMap& figure, const Gnuplot& gnuplot = {});

}  // namespace farsight
