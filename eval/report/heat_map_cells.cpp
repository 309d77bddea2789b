#include "eval/report/heat_map_cells.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "eval/report/text.h"

namespace farsight {
namespace {

/// A few cells, the diagonal's say, must not leave all others black.
constexpr double kShownShare = 0.995;

}  // namespace

DrawnCells reduced(const HeatMap::Panel& panel, std::int64_t most) {
  DrawnCells drawn;
  drawn.block_rows = (panel.rows + most - 1) / most;
  drawn.block_columns = (panel.columns + most - 1) / most;
  drawn.rows = (panel.rows + drawn.block_rows - 1) / drawn.block_rows;
  drawn.columns = (panel.columns + drawn.block_columns - 1) / drawn.block_columns;
  const auto cells = static_cast<std::size_t>(drawn.rows * drawn.columns);
  std::vector<double> sums(cells, 0.0);
  std::vector<std::int64_t> counts(cells, 0);
  for (std::int64_t row = 0; row < panel.rows; row++) {
    const float* values = panel.values.data() + row * panel.columns;
    const std::int64_t first = row / drawn.block_rows * drawn.columns;
    for (std::int64_t column = 0; column < panel.columns; column++) {
      if (!std::isfinite(values[column])) continue;
      const auto cell = static_cast<std::size_t>(first + column / drawn.block_columns);
      sums[cell] += static_cast<double>(values[column]);
      counts[cell]++;
    }
  }
  drawn.values.resize(cells);
  for (std::size_t i = 0; i < cells; i++) {
    drawn.values[i] = counts[i] > 0 ? static_cast<float>(sums[i] / static_cast<double>(counts[i]))
                                    : std::numeric_limits<float>::quiet_NaN();
  }
  return drawn;
}

std::string csv_of(const DrawnCells& drawn) {
  std::string text;
  for (std::int64_t row = 0; row < drawn.rows; row++) {
    for (std::int64_t column = 0; column < drawn.columns; column++) {
      if (column > 0) text += ',';
      text += csv_number(drawn.values[static_cast<std::size_t>(row * drawn.columns + column)]);
    }
    text += '\n';
  }
  return text;
}

Range scale_of(const std::vector<DrawnCells>& panels) {
  std::vector<float> sizes;
  bool is_signed = false;
  for (const DrawnCells& panel : panels) {
    for (const float value : panel.values) {
      if (!std::isfinite(value)) continue;
      is_signed = is_signed || value < 0;
      sizes.push_back(std::abs(value));
    }
  }
  if (sizes.empty()) return {0, 1};
  const auto place = sizes.begin() + static_cast<std::ptrdiff_t>(
                                         kShownShare * static_cast<double>(sizes.size() - 1));
  std::nth_element(sizes.begin(), place, sizes.end());
  double high = static_cast<double>(*place);
  if (!(high > 0)) high = static_cast<double>(*std::max_element(sizes.begin(), sizes.end()));
  if (!(high > 0)) high = 1;
  return {is_signed ? -high : 0, high};
}

}  // namespace farsight
