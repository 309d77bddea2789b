#include "cuda/plan_key.h"

#include <fmt/format.h>

namespace farsight::cuda {
namespace {

/// The largest power of two that divides the address, and those `step` bytes further on each; 64 at
/// most, which every block of the arena has, so that plans do not depend on where a block happens to
/// lie.
std::uint32_t alignment_of(const void* address, std::int64_t step) {
  const auto bits =
      reinterpret_cast<std::uintptr_t>(address) | static_cast<std::uintptr_t>(step) | 64u;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

}  // namespace

PlanKey key_of(const Product& p) {
  return {p.m,
          p.n,
          p.k,
          p.a_stride,
          p.b_stride,
          p.c_stride,
          p.batch,
          p.a_step,
          p.b_step,
          p.c_step,
          alignment_of(p.a, p.a_step * size_of(p.type)),
          alignment_of(p.b, p.b_step * size_of(p.type)),
          alignment_of(p.c, p.c_step * size_of(p.c_type)),
          p.type,
          p.c_type,
          p.transpose_a,
          p.transpose_b,
          p.add,
          p.bias != nullptr};
}

std::string name_of(const PlanKey& key) {
  const std::string batch = key.batch == 1 ? ""
                                           : fmt::format(" of {} {} {} {}", key.batch, key.a_step,
                                                         key.b_step, key.c_step);
  return fmt::format("linear {} {} {} {} {} {} {} {} {} {} {} {}{}{}{}{}", key.m, key.n, key.k,
                     key.a_stride, key.b_stride, key.c_stride, key.a_alignment, key.b_alignment,
                     key.c_alignment, name_of(key.type), name_of(key.c_type),
                     key.transpose_a ? 't' : 'n', key.transpose_b ? 't' : 'n', key.add ? '+' : '=',
                     key.bias ? " bias" : "", batch);
}

}  // namespace farsight::cuda
