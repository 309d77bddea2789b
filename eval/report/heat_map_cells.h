// The cells of a heat map as they are drawn.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "eval/report/figure.h"

namespace farsight {

/// A panel as it is drawn: each cell the mean of a block of the panel's.
struct DrawnCells {
  std::int64_t rows = 0, columns = 0;
  std::int64_t block_rows = 1, block_columns = 1;
  std::vector<float> values;
};

/// Means over the finite values of each block, at most `most` of them a side; the last blocks of a row or
/// column may be smaller.
DrawnCells reduced(const HeatMap::Panel& panel, std::int64_t most);

/// The matrix, a line a row, without a heading: what gnuplot and every other program read.
std::string csv_of(const DrawnCells& drawn);

/// From 0, or as far below it as above, to what nearly all cells stay below.
Range scale_of(const std::vector<DrawnCells>& panels);

}  // namespace farsight
