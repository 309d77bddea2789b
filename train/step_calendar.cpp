#include "train/step_calendar.h"

#include <algorithm>

namespace farsight {

StepCalendar::StepCalendar(const Settings& settings, std::int64_t total,
                           std::int64_t steps_per_epoch, bool ranks)
    : total_(total),
      eval_(settings.eval.interval == 0
                ? std::min(total, std::max<std::int64_t>(1, steps_per_epoch))
                : settings.eval.interval),
      save_(settings.checkpoint.interval == 0 ? eval_ : settings.checkpoint.interval),
      compare_(ranks ? settings.ranks.check_interval : 0) {}

}  // namespace farsight
