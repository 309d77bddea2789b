// Large copies to page-locked memory on a stream of their own, so that the device computes meanwhile.
#include "cuda/runtime.h"

namespace farsight::cuda {
namespace {

cudaEvent_t made() {
  cudaEvent_t event = nullptr;
  succeeded(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  return event;
}

cudaEvent_t computed() {
  static cudaEvent_t event = made();
  return event;
}
cudaEvent_t copied() {
  static cudaEvent_t event = made();
  return event;
}

}  // namespace

void copy_out(void* to, const void* from, std::int64_t bytes) {
  succeeded(cudaEventRecord(computed(), stream()), "cudaEventRecord");
  succeeded(cudaStreamWaitEvent(copy_stream(), computed(), 0), "cudaStreamWaitEvent");
  succeeded(cudaMemcpyAsync(to, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost,
                            copy_stream()),
            "cudaMemcpyAsync");
  succeeded(cudaEventRecord(copied(), copy_stream()), "cudaEventRecord");
}

void hold_for_copies() {
  succeeded(cudaStreamWaitEvent(stream(), copied(), 0), "cudaStreamWaitEvent");
}

void wait_for_copies() {
  succeeded(cudaEventSynchronize(copied()), "cudaEventSynchronize");
}

}  // namespace farsight::cuda
