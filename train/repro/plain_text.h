// Tables and verdicts of a reproduction for the terminal, no wider than it is.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "train/repro/claims.h"
#include "train/repro/exhibits.h"
#include "train/repro/outcomes.h"

namespace farsight {

/// Of the terminal that stdout is; 100 where it is a file or a pipe.
std::size_t terminal_columns();

/// "Table 1, ours (paper)" and a row for each of its own, numbers as "98.02 (99.72)". Columns that do
/// not fit beside one another follow below, under the same rows.
std::string plain_table(const ExhibitTable& exhibit, const Outcomes& outcomes, std::size_t columns);

/// Verdict, name and statement of each claim; a statement goes on below its own beginning.
std::string plain_verdicts(std::string_view heading, std::span<const Claim> claims,
                           const Outcomes& outcomes, std::size_t columns);

}  // namespace farsight
