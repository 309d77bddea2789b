#include "train/answer_places.h"
#include "train/run_folder.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>

namespace farsight {

namespace {

/// One line a task. A bin is drawn at `place` of its two ends.
void add_lines(LineFigure& figure, const Json& accuracy, std::string_view member,
               const std::function<double(double, double)>& place) {
  for (const Json::Member& task : accuracy.members()) {
    const Json* bins = task.value.is_object() ? task.value.find(member) : nullptr;
    if (bins == nullptr || !bins->is_array()) continue;
    Series series{.name = task.key};
    for (const Json& bin : bins->elements()) {
      const std::optional<double> from = number_in(bin, "from");
      const std::optional<double> to = number_in(bin, "to");
      const std::optional<double> pair = number_in(bin, "pair");
      if (from && to && pair) series.points.push_back({place(*from, *to), *pair});
    }
    if (!series.points.empty()) figure.series.push_back(std::move(series));
  }
}

/// The shares of the tasks that have sections.
BarFigure section_bars(const Json& accuracy) {
  BarFigure figure{.caption =
                       "Share of the queries that were answered with the value of each "
                       "section of the context, and with none of them.",
                   .x_label = "section of the first half",
                   .y_label = "share, percent",
                   .groups = {"0-25 %", "25-50 %", "50-75 %", "75-100 %", "none"},
                   .y_range = Range{0, 100}};
  for (const Json::Member& task : accuracy.members()) {
    const Json* sections = task.value.is_object() ? task.value.find("sections") : nullptr;
    if (sections == nullptr) continue;
    BarFigure::Bars bars{.name = task.key};
    for (const char* section : {"0-25", "25-50", "50-75", "75-100", "none"}) {
      bars.values.push_back(number_in(*sections, section));
    }
    figure.series.push_back(std::move(bars));
  }
  return figure;
}

NamedValues shortcut_values(const Json& accuracy) {
  NamedValues values{
      .caption =
          "Shortcut indices, from 0 (no reliance) to 1 (nothing else); docs/metrics.md "
          "defines them."};
  for (const Json::Member& task : accuracy.members()) {
    const Json* shortcuts = task.value.is_object() ? task.value.find("shortcuts") : nullptr;
    if (shortcuts == nullptr || !shortcuts->is_object()) continue;
    for (const Json::Member& index : shortcuts->members()) {
      std::string name = index.key;
      for (char& c : name) {
        if (c == '_') c = ' ';
      }
      const std::optional<double> value = number_in(*shortcuts, index.key);
      values.entries.push_back({name, value ? fmt::format("{:.2f}", *value) : "not measured"});
    }
  }
  return values;
}

}  // namespace

ReportSection answer_places(const RunFiles& run, const Gnuplot& gnuplot) {
  ReportSection section{"Where answers come from"};
  const Json* accuracy = run.result ? run.result->find("accuracy") : nullptr;
  if (accuracy == nullptr || !accuracy->is_object()) return section;
  const std::filesystem::path folder = run.folder / "figures";
  LineFigure position{.caption =
                          "Pair accuracy by where the pair stands in the context, all cells "
                          "together, in bins of 5 %.",
                      .x_label = "position of the key, percent of the length",
                      .y_label = "pair accuracy, percent",
                      .y_range = Range{0, 100}};
  add_lines(position, *accuracy, "by_position",
            [](double from, double to) { return (from + to) / 2; });
  if (!position.series.empty()) {
    section.blocks.push_back(write_figure(folder, "by-position", position, gnuplot));
  }
  LineFigure distance{.caption =
                          "Pair accuracy by the distance from the pair to its query, all "
                          "cells together, in bins from one power of two to the next.",
                      .x_label = "distance, tokens",
                      .y_label = "pair accuracy, percent",
                      .log_x = true,
                      .y_range = Range{0, 100}};
  add_lines(distance, *accuracy, "by_distance", [](double from, double) { return from; });
  if (!distance.series.empty()) {
    section.blocks.push_back(write_figure(folder, "by-distance", distance, gnuplot));
  }
  const BarFigure sections = section_bars(*accuracy);
  if (!sections.series.empty()) {
    section.blocks.push_back(write_figure(folder, "sections", sections, gnuplot));
  }
  NamedValues shortcuts = shortcut_values(*accuracy);
  if (!shortcuts.entries.empty()) section.blocks.push_back(std::move(shortcuts));
  return section;
}

}  // namespace farsight
