// How fast steps are, beside what the device can do.
#pragma once

#include "models/model.h"
#include "train/operations/device_limits.h"
#include "train/progress.h"
#include "train/run_record.h"

namespace farsight {

class StepSpeed {
 public:
  /// `flops_per_token`: of this rank, so that the percentages are of one device.
  StepSpeed(const Model& model, double flops_per_token);

  const DeviceLimits& limits() const { return limits_; }
  /// Tells `progress` of a step with all that is known of the device, and gives `metrics` the speed
  /// that follows.
  void tell(Progress& progress, StepReport report, StepMetrics& metrics) const;

 private:
  Device device_;
  const DeviceLimits& limits_;
  double flops_per_token_;
};

}  // namespace farsight
