#include "train/repro/trial.h"

#include <fmt/format.h>

namespace farsight {

std::string describe(const Training& training) {
  return fmt::format("{} trained on {}{}", training.model, training.task,
                     training.control ? " without <SEP> targets" : "");
}

std::string describe(const Trial& trial) {
  return fmt::format("{}, tested on {}", describe(trial.training), trial.test);
}

std::string brief(const Trial& trial) {
  return fmt::format("{} {}{} → {}", trial.training.model, trial.training.task,
                     trial.training.control ? " (no <SEP>)" : "", trial.test);
}

}  // namespace farsight
