// Where the right answers of a run come from; a reader without shortcuts is as good everywhere.
#pragma once

#include "eval/report/document.h"
#include "eval/report/figure.h"
#include "train/run_report.h"

namespace farsight {

/// Accuracy by the pair's position and by its distance from the query (figures by-position and
/// by-distance), shares of sections, shortcut indices: what the run's result holds of them. No
/// blocks if it holds none.
ReportSection answer_places(const RunFiles& run, const Gnuplot& gnuplot);

}  // namespace farsight
