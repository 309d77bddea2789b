// Are the examples of a task what its rules say, and can they be answered?
//
// Rules that are broken are errors of whoever made the set; ambiguity is a property of the task: keys
// drawn twice and filler that looks like a pair have labels that contradict what a reader can know.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/oracle.h"

namespace farsight {

struct CellAudit {
  Cell cell;
  std::int64_t examples = 0;
  std::int64_t queries = 0;
  std::int64_t repeated = 0;                ///< queries whose key another query has, too
  std::int64_t contradictory = 0;           ///< those of them whose labels differ
  std::int64_t contradictory_examples = 0;  ///< examples with such a query
  std::int64_t met_in_filler = 0;           ///< queries whose key stands in the filler before them
  std::int64_t lookalikes =
      0;  ///< queries whose key something in the context binds that is no pair asked for
  Ceiling ceiling{};
  std::int64_t inexact = 0;  ///< examples whose ceiling is not summed exactly (Reading::exact)
  std::int64_t broken = 0;   ///< examples that break a rule; they count for nothing else
  std::vector<std::string> violations{};  ///< "example 3: ...", the first of them
};

/// Of examples of one cell.
CellAudit audit_cell(const MqarTask& task, const Cell& cell, Split split,
                     std::span<const Example> examples);

/// The unweighted mean over cells, as scores are averaged (eval/mqar_metrics.h).
Ceiling mean_ceiling(std::span<const Ceiling> cells);

/// A table, one line a cell, shares in percent; then what each column means and which rules are
/// broken.
std::string audit_text(const MqarTask& task, std::span<const CellAudit> cells);

}  // namespace farsight
