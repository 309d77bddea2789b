#include "train/stopping.h"

#include <fmt/format.h>

namespace farsight {

std::string_view name_of(StoppedBy why) {
  switch (why) {
    case StoppedBy::accuracy:
      return "accuracy";
    case StoppedBy::plateau:
      return "plateau";
    case StoppedBy::steps:
      break;
  }
  return "steps";
}

void note_validation(const StopSettings& settings, double pair_accuracy, StopState& state) {
  state.reached = pair_accuracy >= settings.accuracy ? state.reached + 1 : 0;
  const bool better =
      !state.best || 100 - pair_accuracy < (1 - settings.gain) * (100 - *state.best);
  state.without_gain = better ? 0 : state.without_gain + 1;
  if (better) state.best = pair_accuracy;
}

StoppedBy stopped_by(const StopSettings& settings, const StopState& state) {
  if (settings.accuracy > 0 && state.reached >= settings.validations) return StoppedBy::accuracy;
  if (settings.plateau > 0 && state.without_gain >= settings.plateau) return StoppedBy::plateau;
  return StoppedBy::steps;
}

std::string stop_reason(const StopSettings& settings, StoppedBy why) {
  if (why == StoppedBy::accuracy) {
    return fmt::format("{} validations with at least {} % (stop.accuracy)", settings.validations,
                       settings.accuracy);
  }
  return fmt::format("{} validations that were no better (stop.plateau)", settings.plateau);
}

}  // namespace farsight
