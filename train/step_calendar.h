// After which steps a run does something with its parameters.
#pragma once

#include <cstdint>

#include "train/settings.h"

namespace farsight {

class StepCalendar {
 public:
  /// `total`: steps of the run. `ranks`: there are others, to compare with.
  StepCalendar(const Settings& settings, std::int64_t total, std::int64_t steps_per_epoch,
               bool ranks);

  /// eval.interval, 0: every epoch; and the last step.
  bool validates_after(std::int64_t step) const { return step == total_ || step % eval_ == 0; }
  /// checkpoint.interval, 0: at each validation. The last step is saved however it is reached.
  bool saves_after(std::int64_t step) const { return step % save_ == 0; }
  /// ranks.check_interval, 0: never; and the last step, which may come early.
  bool compares_after(std::int64_t step, bool ended = false) const {
    return compare_ > 0 && (ended || step == total_ || step % compare_ == 0);
  }
  /// Any of these: no later step may have begun.
  bool pauses_after(std::int64_t step) const {
    return validates_after(step) || saves_after(step) || compares_after(step);
  }

 private:
  std::int64_t total_, eval_, save_, compare_;
};

}  // namespace farsight
