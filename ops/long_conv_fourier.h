// Fourier transforms of vectors of channels, for the long convolution on the CPU.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

#include "core/lanes.h"

namespace farsight::cpu {

/// Complex vectors of a power of two of lanes.
template <class A>
struct Complex {
  std::vector<Lanes<A>> re, im;
  explicit Complex(std::size_t n) : re(n), im(n) {}
};

/// Transforms of length n. The forward leaves its result in bit-reversed order and the inverse takes
/// it so: products element by element do not mind.
template <class A>
class Fourier {
 public:
  using V = Lanes<A>;

  explicit Fourier(std::int64_t n) : n_(n) {
    for (std::int64_t i = 0; i < n / 2; i++) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
      cosines_.push_back(static_cast<A>(std::cos(angle)));
      sines_.push_back(static_cast<A>(std::sin(angle)));
    }
  }
  std::int64_t size() const { return n_; }

  void forward(Complex<A>& x) const {
    for (std::int64_t half = n_ / 2; half >= 1; half /= 2) {
      for_each_butterfly(half, x, [](V& re0, V& im0, V& re1, V& im1, A c, A s) {
        const V re = re0 - re1, im = im0 - im1;
        re0 += re1;
        im0 += im1;
        re1 = re * c + im * s;  // times e^(-i angle)
        im1 = im * c - re * s;
      });
    }
  }
  /// Without the factor 1 / n.
  void inverse(Complex<A>& x) const {
    for (std::int64_t half = 1; half < n_; half *= 2) {
      for_each_butterfly(half, x, [](V& re0, V& im0, V& re1, V& im1, A c, A s) {
        const V re = re1 * c - im1 * s, im = im1 * c + re1 * s;  // times e^(i angle)
        re1 = re0 - re;
        im1 = im0 - im;
        re0 += re;
        im0 += im;
      });
    }
  }

 private:
  template <class Body>
  void for_each_butterfly(std::int64_t half, Complex<A>& x, const Body& body) const {
    const std::int64_t step = n_ / (2 * half);
    V *re = x.re.data(), *im = x.im.data();
    for (std::int64_t begin = 0; begin < n_; begin += 2 * half) {
      for (std::int64_t i = begin; i < begin + half; i++) {
        const auto turn = static_cast<std::size_t>((i - begin) * step);
        body(re[i], im[i], re[i + half], im[i + half], cosines_[turn], sines_[turn]);
      }
    }
  }

  std::int64_t n_;
  std::vector<A> cosines_, sines_;
};

}  // namespace farsight::cpu
