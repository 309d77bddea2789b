// The clock that durations are measured with.
#pragma once

#include <chrono>

namespace farsight {

/// Seconds since some moment before the program began; never goes back.
inline double seconds_now() {
  using std::chrono::steady_clock;
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace farsight
