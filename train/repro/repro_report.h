// The report of a reproduction, over whatever of it is there: verdicts, tables, figures, runs.
#pragma once

#include <string>

#include "core/dtype.h"
#include "eval/report/document.h"
#include "train/repro/outcomes.h"

namespace farsight {

struct ReproReport {
  Report report;
  std::string verdicts;  ///< for the terminal, a line each
};

/// Composes the report and writes OUT/repro.html, repro.md, repro.json and OUT/figures/. `device`
/// computes what figures need of trained models. What is missing is named, never left out.
ReproReport make_repro_report(const ReproOptions& options, const Outcomes& outcomes, Device device);

}  // namespace farsight
