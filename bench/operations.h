// Times of the operations, from the tables that the tests walk (tests/op_cases).
#pragma once

#include <vector>

#include "bench/measurement.h"
#include "tests/op_cases/op_case.h"

namespace farsight::bench {

struct OperationTimes {
  double forward_ms = 0;   ///< recorded on a tape, as in training: with what it keeps for backward
  double backward_ms = 0;  ///< through the tape, from a random cotangent of every output
  std::size_t runs = 0;
  double others = 0;  ///< processors that other programs used meanwhile
};

/// One line of the table in f32. Runs take turns with several copies of the inputs, of 64 MiB
/// together or more, so that the second-level cache does not hold what training would not find
/// there.
OperationTimes time_operation(const OpCase& operation, const Sizes& sizes, const Effort& effort);

}  // namespace farsight::bench
