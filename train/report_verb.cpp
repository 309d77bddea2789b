#include "train/report_verb.h"

#include <fmt/core.h>

#include "core/check.h"
#include "train/run_report.h"
#include "train/words.h"

namespace farsight {

int run_report_verb(std::span<const std::string> words) {
  constexpr VerbOption kOptions[] = {
      {"run", "RUN",
       "folder of a run, finished or not: runs/standard-mamba-pocket-seed42; or as the first word"},
      {"gnuplot", "PROGRAM", "what draws the figures (default: gnuplot)"},
      {"help", "", "print this text and stop"}};
  const Words given("farsight report", kOptions, with_first_as("run", words),
                    Words::With::options_alone);
  given.refuse_unknown();
  if (given.has("help")) {
    fmt::print("{}", verb_help("farsight", "report", kReportHelp, kOptions));
    return 0;
  }
  require(given.has("run"), ExitCode::usage,
          "farsight report: which run? For example: farsight report "
          "runs/standard-mamba-pocket-seed42");
  Gnuplot gnuplot;
  if (given.has("gnuplot")) gnuplot.program = *given.value("gnuplot");
  const RunFiles run = read_run(*given.value("run"));
  write_run_report(run, gnuplot);
  fmt::print("{}{}/report.html\n",
             run.result ? "" : "The run is not finished; what there is: ", run.folder.string());
  return 0;
}

}  // namespace farsight
