#include "core/device_calls.h"

#include "core/check.h"

namespace farsight {
namespace {

DeviceCalls& installed() {
  static DeviceCalls calls;
  return calls;
}

}  // namespace

const DeviceCalls& device_calls() {
  require(installed().copy != nullptr, ExitCode::device,
          "no GPU is in use: select_gpu() comes first");
  return installed();
}

void set_device_calls(const DeviceCalls& calls) {
  installed() = calls;
}

#if !FARSIGHT_CUDA
void select_gpu() {
  fail(ExitCode::device, "this build has no CUDA");
}
#endif

}  // namespace farsight
