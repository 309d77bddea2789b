// What the tests of the GPU share.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/device_calls.h"
#include "core/tensor.h"
#include "tests/skip.h"

namespace farsight {

/// Selects the GPU. False when there is none: the case is then skipped by name, or fails where a GPU
/// is required (make test-gpu).
inline bool have_gpu() {
  std::string why;
  if (gpu_available(&why)) {
    select_gpu();
    return true;
  }
  if (std::getenv("FARSIGHT_REQUIRE_GPU") != nullptr) {
    FAIL_CHECK(why);
  } else {
    skip(why);
  }
  return false;
}

inline Tensor on_cpu(const Tensor& t) {
  return t ? t.contiguous().to(Device::cpu) : t;
}

inline std::vector<Tensor> moved(const std::vector<Tensor>& tensors, Device device) {
  std::vector<Tensor> all;
  for (const Tensor& t : tensors) {
    all.push_back(t ? t.to(device) : t);
  }
  return all;
}

inline bool equal_bits(const Tensor& a, const Tensor& b) {
  if (static_cast<bool>(a) != static_cast<bool>(b)) return false;
  if (!a) return true;
  const Tensor x = on_cpu(a), y = on_cpu(b);
  return x.bytes() == y.bytes() &&
         std::memcmp(x.ptr(), y.ptr(), static_cast<std::size_t>(x.bytes())) == 0;
}

/// How far `got` is from `expected`.
struct Difference {
  double norm = 0;      ///< ||got - expected|| / ||expected||
  double element = 0;   ///< the largest |got - expected| / (|expected| + root mean square of all)
  std::int64_t at = 0;  ///< where that is
};

/// Both infinite if `got` is not finite anywhere.
inline Difference difference(const Tensor& got, const Tensor& expected) {
  const Tensor x = on_cpu(got).to(DType::f64), y = on_cpu(expected).to(DType::f64);
  REQUIRE(x.shape() == y.shape());
  double squares = 0, apart = 0;
  for (double v : y.span<double>()) {
    squares += v * v;
  }
  const double count = static_cast<double>(std::max<std::int64_t>(1, y.elements()));
  const double mean = std::sqrt(squares / count);
  Difference d;
  for (std::int64_t i = 0; i < x.elements(); i++) {
    const double u = x.data<double>()[i], v = y.data<double>()[i];
    if (!std::isfinite(u)) {
      constexpr double kInfinite = std::numeric_limits<double>::infinity();
      return {kInfinite, kInfinite, i};
    }
    apart += (u - v) * (u - v);
    const double element = std::abs(u - v) / std::max(std::abs(v) + mean, 1e-30);
    if (element > d.element) d = {0, element, i};
  }
  d.norm = std::sqrt(apart / std::max(squares, 1e-30));
  return d;
}

}  // namespace farsight
