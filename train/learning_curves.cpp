#include "train/learning_curves.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace farsight {

namespace {

/// More cannot be told apart in a figure, and would make its page heavy.
constexpr std::size_t kMostPoints = 400;

/// The values of one metric that are there and finite, over the steps.
std::vector<Point> points_of(const std::vector<Json>& metrics, std::string_view key) {
  std::vector<Point> points;
  for (const Json& line : metrics) {
    if (!line.is_object()) continue;
    const Json* step = line.find("step");
    const Json* value = line.find(key);
    if (step == nullptr || value == nullptr || !step->is_number() || !value->is_number()) continue;
    points.push_back({step->as_double(), value->as_double()});
  }
  return points;
}

/// Many points as the means of as many neighbours each, with the smallest and the largest of them.
std::vector<Point> thinned(const std::vector<Point>& points) {
  const std::size_t together = (points.size() + kMostPoints - 1) / kMostPoints;
  if (together <= 1) return points;
  std::vector<Point> means;
  for (std::size_t begin = 0; begin < points.size(); begin += together) {
    const std::size_t end = std::min(begin + together, points.size());
    Point mean{points[begin].x, 0, points[begin].y, points[begin].y};
    for (std::size_t i = begin; i < end; i++) {
      mean.y += points[i].y / static_cast<double>(end - begin);
      mean.low = std::min(*mean.low, points[i].y);
      mean.high = std::max(*mean.high, points[i].y);
    }
    means.push_back(mean);
  }
  return means;
}

void add_series(LineFigure& figure, const std::vector<Json>& metrics, std::string_view key,
                std::string name) {
  const std::vector<Point> points = points_of(metrics, key);
  if (points.empty()) return;
  if (points.size() > kMostPoints && !figure.caption.ends_with("them.")) {
    figure.caption +=
        " Many neighbouring steps are drawn as their mean, with a band from the least "
        "to the largest of them.";
  }
  figure.series.push_back({.name = std::move(name), .points = thinned(points)});
}

bool any_missing_loss(const std::vector<Json>& metrics) {
  return std::any_of(metrics.begin(), metrics.end(), [](const Json& line) {
    const Json* loss = line.is_object() ? line.find("loss") : nullptr;
    return loss != nullptr && loss->is_null();
  });
}

}  // namespace

ReportSection learning_curves(const RunFiles& run, const Gnuplot& gnuplot) {
  ReportSection section{"Learning curves"};
  const std::vector<Json>& metrics = run.metrics;
  if (metrics.empty()) {
    section.blocks.push_back(Paragraph{"No step is logged yet.", Verdict::missing});
    return section;
  }
  if (run.unreadable_lines > 0) {
    section.blocks.push_back(Paragraph{
        fmt::format(
            "{} of metrics.jsonl cannot be read and {} left out.",
            run.unreadable_lines == 1 ? "One line" : fmt::format("{} lines", run.unreadable_lines),
            run.unreadable_lines == 1 ? "is" : "are"),
        Verdict::missing});
  }
  if (any_missing_loss(metrics)) {
    section.blocks.push_back(Paragraph{
        "At some steps the loss was not a finite number; they are left out.", Verdict::fail});
  }
  const std::filesystem::path folder = run.folder / "figures";
  LineFigure loss{.caption = "Cross-entropy over the steps, in nats a label.",
                  .x_label = "step",
                  .y_label = "loss, nats",
                  .log_y = true,
                  .marks = false};
  add_series(loss, metrics, "loss", "training batches");
  add_series(loss, metrics, "valid_loss", "validation");
  section.blocks.push_back(write_figure(folder, "loss", loss, gnuplot));
  LineFigure perplexity{.caption = "Perplexity of the validation text over the steps.",
                        .x_label = "step",
                        .y_label = "perplexity",
                        .log_y = true};
  add_series(perplexity, metrics, "valid_perplexity", "validation");
  if (!perplexity.series.empty()) {
    section.blocks.push_back(write_figure(folder, "perplexity", perplexity, gnuplot));
  }
  LineFigure accuracy{.caption =
                          "Accuracy over the steps: labels of the training batches, and of recall "
                          "tasks the pairs of the validation set (mean over the cells).",
                      .x_label = "step",
                      .y_label = "accuracy, percent",
                      .marks = false,
                      .y_range = Range{0, 100}};
  add_series(accuracy, metrics, "train_accuracy", "training batches, labels");
  add_series(accuracy, metrics, "valid_accuracy", "validation, pairs");
  if (!accuracy.series.empty()) {
    section.blocks.push_back(write_figure(folder, "accuracy", accuracy, gnuplot));
  }
  return section;
}

}  // namespace farsight
