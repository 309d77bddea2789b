// A matrix as a picture, as in Figures 4 and 8 to 10 of the paper. The scale is ours: black is 0,
// the upper end the 99.5th percentile. Source positions run to the right, target positions down.
#pragma once

#include <string>
#include <vector>

#include "eval/probes/layer_quantities.h"
#include "eval/report/figure.h"

namespace farsight {

/// `matrix` [T, T] f32 on the CPU. Marked are, where the matrix is of one example, the cells of every
/// query's row and of the pair that it asks for; of several examples, the rows of queries with the
/// region of pairs.
HeatMap::Panel matrix_panel(const Tensor& matrix, std::string title,
                            const std::vector<ExamplePlaces>& examples);

/// A figure of such panels with its axes named.
HeatMap matrix_figure(std::string caption, std::vector<HeatMap::Panel> panels);

}  // namespace farsight
