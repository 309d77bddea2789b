// Fixed-width vectors for the CPU kernels: 64 bytes of channels side by side.
//
// They are the compiler's own vector types, so +, -, *, / and ?: work lane by lane and the code
// reads like the formula; a machine with narrower registers runs the same lanes in several
// instructions. Storage types are converted on load and store; arithmetic is in float, or in double
// for f64.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/dtype.h"

namespace farsight {

namespace detail {
template <class A>
struct LanesOf {
  typedef A type __attribute__((vector_size(64)));  // NOLINT(modernize-use-using): attribute
};
}  // namespace detail
template <class A>
using Lanes = typename detail::LanesOf<A>::type;
template <class A>
inline constexpr int kLanes = static_cast<int>(64 / sizeof(A));

template <class A>
[[gnu::always_inline]] inline Lanes<A> broadcast(A value) {
  return Lanes<A>{} + value;
}

/// kLanes values of storage type T as arithmetic lanes.
template <class T>
[[gnu::always_inline]] inline auto load_lanes(const T* from) {
  using A = accumulator_t<T>;
  if constexpr (std::is_same_v<T, bf16>) {
    typedef std::uint16_t Half __attribute__((vector_size(32)));
    Half half;
    std::memcpy(&half, from, sizeof(half));
    const Lanes<std::uint32_t> word = __builtin_convertvector(half, Lanes<std::uint32_t>) << 16;
    return __builtin_bit_cast(Lanes<float>, word);
  } else {
    Lanes<A> v;
    std::memcpy(&v, from, sizeof(v));
    return v;
  }
}

/// The first `count` of them; the other lanes are zero.
template <class T>
[[gnu::always_inline]] inline auto load_lanes(const T* from, int count) {
  using A = accumulator_t<T>;
  if (count == kLanes<A>) [[likely]] {
    return load_lanes(from);
  }
  alignas(64) T some[kLanes<A>] = {};
  std::memcpy(some, from, static_cast<std::size_t>(count) * sizeof(T));
  return load_lanes(some);
}

template <class T>
[[gnu::always_inline]] inline void store_lanes(T* to, Lanes<accumulator_t<T>> v) {
  if constexpr (std::is_same_v<T, bf16>) {
    for (int i = 0; i < kLanes<float>; i++) {
      to[i] = bf16(v[i]);
    }
  } else {
    std::memcpy(to, &v, sizeof(v));
  }
}

template <class T>
[[gnu::always_inline]] inline void store_lanes(T* to, Lanes<accumulator_t<T>> v, int count) {
  if (count == kLanes<accumulator_t<T>>) [[likely]] {
    store_lanes(to, v);
    return;
  }
  alignas(64) T some[kLanes<accumulator_t<T>>];
  store_lanes(some, v);
  std::memcpy(to, some, static_cast<std::size_t>(count) * sizeof(T));
}

/// `=` or `+=`, as a gradient sink asks for.
template <class T>
[[gnu::always_inline]] inline void put_lanes(T* to, Lanes<accumulator_t<T>> v, int count,
                                             bool add) {
  store_lanes(to, add ? v + load_lanes(to, count) : v, count);
}

/// Lane 0 + lane 1 + ... in a fixed tree.
template <class A>
[[gnu::always_inline]] inline A sum_lanes(Lanes<A> v) {
  alignas(64) A x[kLanes<A>];
  std::memcpy(x, &v, sizeof(v));
  for (int half = kLanes<A> / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; i++) {
      x[i] += x[i + half];
    }
  }
  return x[0];
}

/// Smallest multiple of kLanes that covers `count` channels, in vectors.
template <class A>
constexpr std::int64_t lane_blocks(std::int64_t count) {
  return (count + kLanes<A> - 1) / kLanes<A>;
}

// ---- functions, lane by lane
// ----------------------------------------------------------------------

/// 2^x. f32: within 2 units in the last place on [-126, 127], clamped outside (never 0, never inf).
[[gnu::always_inline]] inline Lanes<float> exp2(Lanes<float> x) {
  x = x < -126.0f ? broadcast(-126.0f) : x;
  x = x > 127.0f ? broadcast(127.0f) : x;
  const Lanes<float> shifted = x + 12582912.0f;  // 1.5 * 2^23: the sum's last bits are round(x)
  const Lanes<float> whole = shifted - 12582912.0f;
  const Lanes<float> r = x - whole;  // in [-1/2, 1/2]
  // Taylor terms of 2^r beyond ln2^7/7! are below 2^-26 of the sum.
  Lanes<float> p = broadcast(1.5403530e-4f);
  p = p * r + 1.3333558e-3f;
  p = p * r + 9.6181291e-3f;
  p = p * r + 5.5504109e-2f;
  p = p * r + 2.4022651e-1f;
  p = p * r + 6.9314718e-1f;
  p = p * r + 1.0f;
  const Lanes<std::int32_t> bits = __builtin_bit_cast(Lanes<std::int32_t>, shifted) << 23;
  return __builtin_bit_cast(Lanes<float>, __builtin_bit_cast(Lanes<std::int32_t>, p) + bits);
}
[[gnu::always_inline]] inline Lanes<double> exp2(Lanes<double> x) {
  for (int i = 0; i < kLanes<double>; i++) {
    x[i] = std::exp2(x[i]);
  }
  return x;
}

inline constexpr double kLog2E = 1.4426950408889634074;

[[gnu::always_inline]] inline Lanes<float> exp(Lanes<float> x) {
  // x log2(e) in two pieces, so that the rounding of the product does not grow with x.
  constexpr float high = 1.44269502e+00f;
  constexpr float low = 1.92596299e-08f;
  const Lanes<float> product = x * high;
  const Lanes<float> clamped = product > 127.0f ? broadcast(127.0f) : product;
  const Lanes<float> whole =
      ((clamped < -126.0f ? broadcast(-126.0f) : clamped) + 12582912.0f) - 12582912.0f;
  // The remainder by Cody and Waite: whole * ln2 is subtracted before scaling.
  const Lanes<float> rest = (x - whole * 0.693145752f) - whole * 1.42860677e-06f;
  const Lanes<float> r = rest * high + rest * low;
  const Lanes<float> safe = r > 1.0f ? broadcast(1.0f) : r < -1.0f ? broadcast(-1.0f) : r;
  const Lanes<float> fraction = exp2(safe);
  const Lanes<float> exponent = whole + 12582912.0f;
  const Lanes<std::int32_t> bits = __builtin_bit_cast(Lanes<std::int32_t>, exponent) << 23;
  return __builtin_bit_cast(Lanes<float>, __builtin_bit_cast(Lanes<std::int32_t>, fraction) + bits);
}
[[gnu::always_inline]] inline Lanes<double> exp(Lanes<double> x) {
  for (int i = 0; i < kLanes<double>; i++) {
    x[i] = std::exp(x[i]);
  }
  return x;
}

/// 1 / (1 + e^-x)
template <class V>
[[gnu::always_inline]] inline V sigmoid(V x) {
  return 1 / (1 + exp(-x));
}

/// log(1 + y) for y in [0, 1]: 2 atanh(y / (2 + y)), whose series needs s^2 <= 1/9 only.
[[gnu::always_inline]] inline Lanes<float> log1p_unit(Lanes<float> y) {
  const Lanes<float> s = y / (2.0f + y);
  const Lanes<float> q = s * s;
  Lanes<float> p = broadcast(1.0f / 15.0f);
  p = p * q + 1.0f / 13.0f;
  p = p * q + 1.0f / 11.0f;
  p = p * q + 1.0f / 9.0f;
  p = p * q + 1.0f / 7.0f;
  p = p * q + 1.0f / 5.0f;
  p = p * q + 1.0f / 3.0f;
  p = p * q + 1.0f;
  return 2.0f * s * p;
}
[[gnu::always_inline]] inline Lanes<double> log1p_unit(Lanes<double> y) {
  for (int i = 0; i < kLanes<double>; i++) {
    y[i] = std::log1p(y[i]);
  }
  return y;
}

/// x for x > 20, else log(1 + e^x); its derivative is sigmoid(x), 1 above 20.
template <class V>
[[gnu::always_inline]] inline V softplus(V x) {
  const V magnitude = x < 0 ? -x : x;
  const V positive = x > 0 ? x : V{};
  return x > 20 ? x : positive + log1p_unit(exp(-magnitude));
}
template <class V>
[[gnu::always_inline]] inline V softplus_derivative(V x) {
  return x > 20 ? V{} + 1 : sigmoid(x);
}

/// x sigmoid(x), and its derivative sigmoid(x) (1 + x (1 - sigmoid(x))).
template <class V>
[[gnu::always_inline]] inline V silu(V x) {
  return x * sigmoid(x);
}
template <class V>
[[gnu::always_inline]] inline V silu_derivative(V x) {
  const V s = sigmoid(x);
  return s * (1 + x * (1 - s));
}

}  // namespace farsight
