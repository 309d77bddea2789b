// The page of a run: made when it is finished, and again from its folder at any time, also while it
// is not finished (it then says what is missing).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "eval/report/document.h"
#include "eval/report/figure.h"
#include "train/settings.h"

namespace farsight {

/// What the folder of a run holds (train/run_record.h).
struct RunFiles {
  std::filesystem::path folder;
  Settings settings{};
  std::vector<Json> metrics{};        ///< lines of metrics.jsonl, in order
  std::int64_t unreadable_lines = 0;  ///< torn when the process was killed
  std::optional<Json> result{};       ///< result.json; none: the run is not finished
  std::string failure{};              ///< failure.txt: why it ended before; empty: it did not
};

/// Throws Error(data) if there is no run, Error(corrupt or usage) if a file of it is damaged.
RunFiles read_run(const std::filesystem::path& folder);

/// Accuracies beside the paper's and the ceiling, learning curves, ambiguities, settings with their
/// origins, environment. Writes the figures into folder/figures.
Report run_report(const RunFiles& run, const Gnuplot& gnuplot = {});

/// Writes report.html, report.md, report.json and the figures.
void write_run_report(const RunFiles& run, const Gnuplot& gnuplot = {});

}  // namespace farsight
