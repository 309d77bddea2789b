// The report of a reproduction, over whatever of it is there: verdicts, tables, figures, runs.
#pragma once

#include <string>

#include "core/dtype.h"
#include "eval/report/document.h"
#include "train/repro/claims.h"
#include "train/repro/outcome.h"

namespace farsight {

struct ReproReport {
  Report report;
  std::string verdicts;  ///< for the terminal, a line each
};

/// Composes the report and writes OUT/repro.html, repro.md, repro.json and OUT/figures/. `device`
/// computes what figures need of trained models. What is missing is named, never left out.
ReproReport make_repro_report(const ReproOptions& options, const Outcomes& outcomes, Device device);

/// One of the paper's tables with ours beside its numbers: "98.02 ± 0.41", below it "paper 99.72,
/// ceiling 99.91".
Table comparison(const ExhibitTable& exhibit, const Outcomes& outcomes);

/// Claims with their verdicts and the numbers that decide.
Table judged(std::string caption, std::span<const Claim> claims, const Outcomes& outcomes);

/// The means over seeds as claims ask for them.
Accuracies accuracies_of(const Outcomes& outcomes);

}  // namespace farsight
