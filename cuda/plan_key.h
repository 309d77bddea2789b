// What the choice of an algorithm for a product depends on.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "core/dtype.h"
#include "cuda/linear_kernels.cuh"

namespace farsight::cuda {

struct PlanKey {
  std::int64_t m, n, k, a_stride, b_stride, c_stride, batch, a_step, b_step, c_step;
  std::uint32_t a_alignment, b_alignment, c_alignment;
  DType type, c_type;
  bool transpose_a, transpose_b, add, bias;
  auto operator<=>(const PlanKey&) const = default;
};

PlanKey key_of(const Product& p);

/// Every field of the key, as it stands in the file of choices.
std::string name_of(const PlanKey& key);

}  // namespace farsight::cuda
