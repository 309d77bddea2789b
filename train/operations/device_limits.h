// What a device can do at the most, to say how much of it a run uses.
#pragma once

#include <optional>
#include <string_view>

#include "core/arena.h"
#include "core/dtype.h"

namespace farsight {

struct DeviceLimits {
  double copy_bytes_per_second = 0;     ///< read and written, both counted; measured
  double product_flops_per_second = 0;  ///< of large square matrix products in `compute`; measured
  /// What its maker says of dense products in `compute`; empty for a device that is not known here.
  std::optional<double> made_for{};
};

/// Measured once a process, in some 50 milliseconds: what else runs on the machine lowers it.
const DeviceLimits& limits_of(Device device, DType compute);

/// From the makers' data sheets, by a part of the name: "NVIDIA H100 80GB HBM3", bf16 -> 989e12.
std::optional<double> made_for(std::string_view device_name, DType compute);

}  // namespace farsight
