// A task as JSON, so that a set of examples says what it is a set of.
#pragma once

#include "core/json.h"
#include "data/mqar.h"

namespace farsight {

/// Everything that the rules of its examples follow from, its cells aside.
Json task_json(const MqarTask& task);

/// The task with these cells; a cell's place is where seeds count it. Throws Error(corrupt) naming
/// the member, Error(data) for what is no task.
MqarTask task_from_json(const Json& json, const std::vector<Cell>& cells,
                        const std::vector<std::size_t>& places);

/// The task on other cells, in this order.
MqarTask with_cells(const MqarTask& task, const std::vector<Cell>& cells,
                    const std::vector<std::size_t>& places);

}  // namespace farsight
