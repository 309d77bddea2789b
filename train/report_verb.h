// farsight report --run RUN
#pragma once

#include <span>
#include <string>

namespace farsight {

inline constexpr const char* kReportHelp =
    "makes the page of a run again: report.html, report.md, report.json and the figures";

/// `words`: those after the verb. Returns the exit code.
int run_report_verb(std::span<const std::string> words);

}  // namespace farsight
