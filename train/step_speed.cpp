#include "train/step_speed.h"

#include "core/arena.h"

namespace farsight {

StepSpeed::StepSpeed(const Model& model, double flops_per_token)
    : device_(model.parameters->device()),
      limits_(limits_of(device_, model.parameters->compute())),
      flops_per_token_(flops_per_token) {}

void StepSpeed::tell(Progress& progress, StepReport report, StepMetrics& metrics) const {
  report.flops_per_token = flops_per_token_;
  report.ceiling = limits_.product_flops_per_second;
  report.made_for = limits_.made_for;
  report.memory_bytes = arena(device_).peak_bytes();
  progress.step(report);
  metrics.tokens_per_second = progress.tokens_per_second();
  const double flops = metrics.tokens_per_second * flops_per_token_;
  metrics.of_ceiling = 100 * flops / limits_.product_flops_per_second;
  if (limits_.made_for) metrics.mfu = 100 * flops / *limits_.made_for;
}

}  // namespace farsight
