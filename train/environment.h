// On what a run ran: kept with its result, shown by its report.
#pragma once

#include "core/json.h"

namespace farsight {

/// {date, system, cpu, processors, threads, memory_bytes, blas, build, compiler}: strings and
/// numbers, for people; nothing that names the machine or its user.
Json environment_json();

}  // namespace farsight
