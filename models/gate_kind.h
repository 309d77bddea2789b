// The modules that may stand in a Mamba layer beside its scan: the selection gate of the paper and
// what its authors tried before (models/mamba_gates.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace farsight {

enum class GateKind : std::uint8_t {
  longconv,  ///< global selection: You et al., 2024, equations 7 and 8
  additive,
  concat,
  dtlinear,
  attn,
  flashlongconv,
  shortlongconv
};

/// In the order of GateKind.
inline constexpr auto kGateKindNames = std::to_array<std::string_view>(
    {"longconv", "additive", "concat", "dtlinear", "attn", "flashlongconv", "shortlongconv"});

constexpr std::string_view name_of(GateKind kind) {
  return kGateKindNames[static_cast<std::size_t>(kind)];
}

/// Whether it has a kernel of its own: all but attention.
constexpr bool has_taps(GateKind kind) {
  return kind != GateKind::attn;
}

}  // namespace farsight
