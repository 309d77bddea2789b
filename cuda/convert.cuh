// Elements from one type to another, row by row: what Tensor::to(DType) is on the device.
#pragma once

#include <cuda_runtime.h>

#include "core/dtype.h"

namespace farsight::cuda {

struct ConvertArgs {
  const void* from = nullptr;
  void* to = nullptr;
  std::int64_t from_stride = 0, to_stride = 0;  // elements between rows
  std::int64_t rows = 0, columns = 0;
  DType from_type = DType::f32, to_type = DType::f32;
};
void convert(const ConvertArgs& args);

/// Whether code for the device in use is in this build: asked once, before any launch.
cudaError_t kernels_fit_device();

}  // namespace farsight::cuda
