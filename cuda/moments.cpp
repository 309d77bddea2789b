// Moments on the device's own clock: events of the compute stream, for measuring what the device
// takes rather than what the host takes to ask for it.
#include <vector>

#include "core/check.h"
#include "cuda/runtime.h"

namespace farsight::cuda {
namespace {

std::vector<cudaEvent_t>& events() {
  static std::vector<cudaEvent_t> made;
  return made;
}

cudaEvent_t event(int moment) {
  const auto index = static_cast<std::size_t>(moment);
  check(moment >= 0 && index < events().size(), "elapsed_ms: moment {} was never marked", moment);
  return events()[index];
}

}  // namespace

void mark(int moment) {
  check(moment >= 0, "mark: moments are numbered from 0, got {}", moment);
  while (events().size() <= static_cast<std::size_t>(moment)) {
    cudaEvent_t fresh = nullptr;
    succeeded(cudaEventCreate(&fresh), "cudaEventCreate");
    events().push_back(fresh);
  }
  succeeded(cudaEventRecord(event(moment), stream()), "cudaEventRecord");
}

double elapsed_ms(int from, int to) {
  float milliseconds = 0;
  succeeded(cudaEventSynchronize(event(from)), "cudaEventSynchronize");
  succeeded(cudaEventSynchronize(event(to)), "cudaEventSynchronize");
  succeeded(cudaEventElapsedTime(&milliseconds, event(from), event(to)), "cudaEventElapsedTime");
  return static_cast<double>(milliseconds);
}

}  // namespace farsight::cuda
