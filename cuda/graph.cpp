// Graphs of the compute stream: a training step as one launch.
#include "cuda/runtime.h"

namespace farsight::cuda {

bool begin_graph() {
  if (sync_after_launch()) return false;
  // Relaxed: the arena may ask for a segment meanwhile, which no launch waits for.
  succeeded(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed),
            "cudaStreamBeginCapture");
  return true;
}

void* end_graph() {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  if (cudaStreamEndCapture(stream(), &graph) != cudaSuccess || graph == nullptr ||
      cudaGraphInstantiate(&executable, graph, 0) != cudaSuccess) {
    executable = nullptr;
    static_cast<void>(cudaGetLastError());  // answered by null
  }
  if (graph != nullptr) static_cast<void>(cudaGraphDestroy(graph));
  return executable;
}

void start_graph(void* graph) {
  succeeded(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream()), "cudaGraphLaunch");
}

void release_graph(void* graph) {
  succeeded(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)), "cudaGraphExecDestroy");
}

}  // namespace farsight::cuda
