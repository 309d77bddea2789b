#include "eval/probes/matrix_figure.h"

#include <algorithm>

namespace farsight {
namespace {

/// The least rectangle round the queries' rows and all pairs; none without queries.
std::vector<HeatMap::Mark> region(const std::vector<ExamplePlaces>& examples) {
  std::vector<HeatMap::Mark> marks;
  for (const ExamplePlaces& places : examples) {
    for (const QueryPlace& query : places.queries) {
      for (const TokenSpan& pair : places.pairs) {
        if (marks.empty()) marks.push_back({query.row, pair.begin, query.row, pair.end - 1});
        HeatMap::Mark& mark = marks.front();
        mark.first_row = std::min<std::int64_t>(mark.first_row, query.row);
        mark.last_row = std::max<std::int64_t>(mark.last_row, query.row);
        mark.first_column = std::min<std::int64_t>(mark.first_column, pair.begin);
        mark.last_column = std::max<std::int64_t>(mark.last_column, pair.end - 1);
      }
    }
  }
  return marks;
}

}  // namespace

HeatMap::Panel matrix_panel(const Tensor& matrix, std::string title,
                            const std::vector<ExamplePlaces>& examples) {
  const std::span<const float> values = matrix.span<float>();
  HeatMap::Panel panel{.title = std::move(title),
                       .rows = matrix.dim(0),
                       .columns = matrix.dim(1),
                       .values = {values.begin(), values.end()}};
  if (examples.size() != 1) {
    panel.marks = region(examples);
    return panel;
  }
  for (const QueryPlace& query : examples.front().queries) {
    for (const TokenSpan& own : query.own) {
      panel.marks.push_back({query.row, own.begin, query.row, own.end - 1});
    }
  }
  return panel;
}

HeatMap matrix_figure(std::string caption, std::vector<HeatMap::Panel> panels) {
  constexpr std::size_t kMostInARow = 6;
  HeatMap figure{.caption = std::move(caption),
                 .x_label = "source position",
                 .y_label = "target position",
                 .value_label = "mean over channels"};
  figure.panels_per_row = static_cast<std::int64_t>(std::min(panels.size(), kMostInARow));
  figure.panels = std::move(panels);
  return figure;
}

}  // namespace farsight
