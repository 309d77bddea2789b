// A random order of [0, n) that is computed, not stored: the position in an epoch is all there is
// to save, and any element of the order is found without the ones before it.
#pragma once

#include <bit>
#include <cstdint>

#include "core/check.h"
#include "core/philox.h"

namespace farsight {

/// A bijection of [0, n) onto itself, chosen by `key`: an alternating Feistel network over the
/// smallest power of two that holds n, with Philox as its round function, walked until it is back
/// inside [0, n) (Black & Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). The
/// domain is less than 2n, so fewer than two walks are expected.
class Permutation {
 public:
  Permutation(std::uint64_t n, std::uint64_t key) : n_(n), key_(key) {
    check(n >= 1 && n <= std::uint64_t{1} << 62, "Permutation: n must be 1 to 2^62, got {}", n);
    const int bits = static_cast<int>(std::bit_width(n - 1));
    low_bits_ = bits / 2;
    low_mask_ = (std::uint64_t{1} << low_bits_) - 1;
    high_mask_ = (std::uint64_t{1} << (bits - low_bits_)) - 1;
  }

  std::uint64_t size() const { return n_; }

  /// Where position `index` < size() is sent.
  std::uint64_t operator()(std::uint64_t index) const {
    check(index < n_, "Permutation: index must be below {}, got {}", n_, index);
    do {
      index = shuffle(index);
    } while (index >= n_);
    return index;
  }

 private:
  static constexpr std::uint64_t kRounds = 8;

  std::uint64_t shuffle(std::uint64_t x) const {
    std::uint64_t low = x & low_mask_;
    std::uint64_t high = x >> low_bits_;
    for (std::uint64_t round = 0; round < kRounds; round += 2) {
      high ^= scramble(round, low) & high_mask_;
      low ^= scramble(round + 1, high) & low_mask_;
    }
    return (high << low_bits_) | low;
  }
  std::uint64_t scramble(std::uint64_t round, std::uint64_t half) const {
    return philox4x32(key_, round, half).v[0];
  }

  std::uint64_t n_, key_;
  int low_bits_;
  std::uint64_t low_mask_, high_mask_;
};

}  // namespace farsight
