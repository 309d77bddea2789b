// Loss, perplexity and accuracy over the steps of a run.
#pragma once

#include "eval/report/document.h"
#include "eval/report/figure.h"
#include "train/run_report.h"

namespace farsight {

/// Figures figures/loss, figures/perplexity (of text) and figures/accuracy of the run's folder, from its metrics; a sentence
/// where there are none yet.
ReportSection learning_curves(const RunFiles& run, const Gnuplot& gnuplot);

}  // namespace farsight
