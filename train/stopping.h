// Ending a run before its last step: when it has succeeded, and when it does not get on.
//
//   stop.accuracy, stop.validations   the last `validations` validations all had at least this pair
//                                     accuracy
//   stop.plateau, stop.gain           none of the last `plateau` validations was better; better is
//                                     error < (1 - gain) x the least error before, where
//                                     error = 100 - pair accuracy, or the loss where text has no
//                                     pairs
//
// The schedule of the learning rate stays that of all steps. The counts are part of a checkpoint: a
// run that was interrupted ends at the same step as one that was not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "train/settings.h"

namespace farsight {

/// What the validations so far amount to.
struct StopState {
  std::int64_t reached = 0;       ///< validations in a row that had stop.accuracy
  std::int64_t without_gain = 0;  ///< validations since the last better one
  std::optional<double> best{};   ///< pair accuracy of that one, percent
};

enum class StoppedBy : std::uint8_t { steps, accuracy, plateau };
/// "steps", "accuracy", "plateau"
std::string_view name_of(StoppedBy why);

void note_validation(const StopSettings& settings, double pair_accuracy, StopState& state);

/// `steps`: go on until the last one.
StoppedBy stopped_by(const StopSettings& settings, const StopState& state);

/// "2 validations with at least 99.9 % (stop.accuracy)"; not of `steps`.
std::string stop_reason(const StopSettings& settings, StoppedBy why);

}  // namespace farsight
