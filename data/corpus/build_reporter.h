// Tells how far a build of a corpus is.
#pragma once

#include <functional>

#include "core/clock.h"
#include "data/corpus/prepare_corpus.h"

namespace farsight {

/// Calls CorpusBuild::progress now and then.
class BuildReporter {
 public:
  explicit BuildReporter(const CorpusBuild& build) : tell_(build.progress) {}

  CorpusProgress state;

  void tell(bool now = false) {
    constexpr double kEvery = 0.1;  // seconds
    const double time = seconds_now();
    if (!tell_ || (!now && time - told_at_ < kEvery)) return;
    told_at_ = time;
    tell_(state);
  }

 private:
  std::function<void(const CorpusProgress&)> tell_;
  double told_at_ = 0;
};

}  // namespace farsight
