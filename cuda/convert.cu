// One thread an element, in row order. Floor: one read and one write; only start-up and reports come
// here, the step's own conversions live inside its kernels.
#include "cuda/convert.cuh"

#include "cuda/device.cuh"

namespace farsight::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kMostBlocks = 65536;

template <class From, class To>
__global__ void __launch_bounds__(kThreads)
    convert_elements(const __grid_constant__ ConvertArgs a) {
  const From* from = static_cast<const From*>(a.from);
  To* to = static_cast<To*>(a.to);
  const std::int64_t count = a.rows * a.columns;
  const std::int64_t step = std::int64_t(gridDim.x) * kThreads;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x; i < count; i += step) {
    const std::int64_t row = i / a.columns, column = i - row * a.columns;
    to[row * a.to_stride + column] = from_float<To>(to_float(from[row * a.from_stride + column]));
  }
}

}  // namespace

void convert(const ConvertArgs& a) {
  const std::int64_t count = a.rows * a.columns;
  if (count == 0) return;
  const std::int64_t blocks = (count + kThreads - 1) / kThreads;
  const int grid = static_cast<int>(blocks < kMostBlocks ? blocks : kMostBlocks);
  with_device_type(a.from_type, "convert", [&]<class From>() {
    with_device_type(a.to_type, "convert", [&]<class To>() {
      convert_elements<From, To><<<grid, kThreads, 0, stream()>>>(a);
    });
  });
  launched("convert");
}

cudaError_t kernels_fit_device() {
  cudaFuncAttributes attributes;
  return cudaFuncGetAttributes(&attributes, convert_elements<float, bf16>);
}

}  // namespace farsight::cuda
