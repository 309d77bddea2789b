// One block: the labels of a micro-batch are thousands, its logits are millions.
#include "cuda/device.cuh"
#include "ops/tally.h"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 1024;

__global__ void __launch_bounds__(kThreads) tally(const __grid_constant__ TallyArgs a) {
  int mine = 0;
  for (std::int64_t i = threadIdx.x; i < a.R; i += kThreads) {
    mine += a.targets[i] >= 0 && a.predictions[i] == a.targets[i] ? 1 : 0;
  }
  const float right = block_sum<kThreads>(static_cast<float>(mine));  // whole numbers: exact
  if (threadIdx.x != 0) return;
  a.tally[0] = (a.add ? a.tally[0] : 0.0) + static_cast<double>(*static_cast<const float*>(a.loss));
  a.tally[1] = (a.add ? a.tally[1] : 0.0) + static_cast<double>(right);
}

}  // namespace

void tally_predictions(const TallyArgs& a) {
  if (a.type != DType::f32) unsupported("tally_predictions", name_of(a.type));
  tally<<<1, kThreads, 0, stream()>>>(a);
  launched("tally_predictions");
}

}  // namespace farsight::cuda
