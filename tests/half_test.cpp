#include "core/half.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>

namespace farsight {
namespace {

TEST_CASE("half: every half survives the way through float, and rounding is to nearest even") {
  for (std::uint32_t bits = 0; bits < 65536; bits++) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float wide = from_half(half);
    if (std::isnan(wide)) continue;
    CHECK_FALSE(to_half(wide) != half);
    // Halfway to the next one goes to the even one, a little more goes up.
    if ((bits & 0x7fffu) >= 0x7bffu) continue;
    const float next = from_half(static_cast<std::uint16_t>(half + 1));
    const float middle = static_cast<float>((static_cast<double>(wide) + next) / 2);
    CHECK_FALSE(to_half(middle) != ((bits & 1u) != 0 ? half + 1 : half));
    CHECK_FALSE(to_half(std::nextafter(middle, next)) != half + 1);
  }
  CHECK(to_half(65519.f) == 0x7bff);
  CHECK(to_half(65520.f) == 0x7c00);
  CHECK(to_half(-1e9f) == 0xfc00);
  CHECK(to_half(1e-9f) == 0);
  CHECK(std::isnan(from_half(to_half(std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace
}  // namespace farsight
