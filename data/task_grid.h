// Which cells a task has.
#pragma once

#include <cstddef>
#include <vector>

#include "data/mqar.h"

namespace farsight {

inline constexpr int kMostExampleTokens = 1 << 20;
inline constexpr int kFirstFreeId = 20;  ///< ids before it are kept for marks

/// Whether the context holds the same pairs in several sections.
inline bool in_sections(const TaskDescription& description) {
  return description.noise == Noise::sections || description.noise == Noise::sections_released;
}

/// Cells in the order of their seeds, and the place of each in that order; places that are left out
/// keep their number.
struct TaskGrid {
  std::vector<Cell> cells;
  std::vector<std::size_t> places;
};

/// The cells of a description: those it lists, or those of the sizes that fit. `name` of the task
/// opens messages. Throws Error(data) where none is left, or a listed one does not fit.
TaskGrid grid_of(std::string_view name, const TaskDescription& description, const TaskSizes& sizes);

/// Throws Error(data), naming the rule, for a cell that cannot be of this task.
void require_fits(std::string_view name, const TaskDescription& description, const Cell& cell);

}  // namespace farsight
