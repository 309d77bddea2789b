// Element types. This header is also read by nvcc: it includes nothing but fixed-width integers.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define FARSIGHT_HOST_DEVICE __host__ __device__
#else
#define FARSIGHT_HOST_DEVICE
#endif

namespace farsight {

enum class DType : std::uint8_t { f64, f32, bf16, i32 };

/// Brain float: the upper half of an IEEE float. Converting down rounds to nearest, ties to even,
/// bit for bit as __nv_bfloat16 does; NaN stays a quiet NaN with its sign.
struct bf16 {
  std::uint16_t bits;

  bf16() = default;
  FARSIGHT_HOST_DEVICE explicit bf16(float value) {
    const std::uint32_t word = __builtin_bit_cast(std::uint32_t, value);
    const bool nan = (word & 0x7fffffffu) > 0x7f800000u;
    const std::uint32_t rounded = word + 0x7fffu + ((word >> 16) & 1u);
    bits = static_cast<std::uint16_t>(nan ? ((word >> 16) | 0x40u) : (rounded >> 16));
  }
  FARSIGHT_HOST_DEVICE explicit operator float() const {
    return __builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16);
  }
};
static_assert(sizeof(bf16) == 2);

constexpr std::int64_t size_of(DType type) {
  return type == DType::f64 ? 8 : type == DType::bf16 ? 2 : 4;
}

constexpr const char* name_of(DType type) {
  switch (type) {
    case DType::f64:
      return "f64";
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::i32:
      return "i32";
  }
  return "?";
}

namespace detail {
template <class T>
struct NotAnElementType;  // an incomplete type: asking for another T does not compile
}
template <class T>
inline constexpr DType dtype_of = detail::NotAnElementType<T>::value;
template <>
inline constexpr DType dtype_of<std::int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<double> = DType::f64;
template <>
inline constexpr DType dtype_of<float> = DType::f32;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;

/// What sums, states, statistics and parameter gradients are kept in: f64 for f64, else f32.
constexpr DType accumulator_of(DType type) {
  return type == DType::f64 ? DType::f64 : DType::f32;
}

namespace detail {
template <class T>
struct Accumulator {
  using type = float;
};
template <>
struct Accumulator<double> {
  using type = double;
};
}  // namespace detail
template <class T>
using accumulator_t = typename detail::Accumulator<T>::type;

}  // namespace farsight
