// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC11). A number is a pure function of (seed, stream, counter): the same on every
// backend, for any order of evaluation and any number of threads or ranks. Also read by nvcc.
//
//   stream = hash_name("init/backbone.layers.3.mixer.in_proj.weight")   what the numbers are for
//   counter = the element, the sample, the step ...                     which of them
#pragma once

#include "core/dtype.h"

namespace farsight {

struct Random4 {
  std::uint32_t v[4];
};

/// Ten rounds over a 128-bit counter with a 64-bit key.
FARSIGHT_HOST_DEVICE inline Random4 philox4x32(std::uint64_t key, std::uint64_t counter_high,
                                               std::uint64_t counter_low) {
  std::uint32_t c0 = static_cast<std::uint32_t>(counter_low);
  std::uint32_t c1 = static_cast<std::uint32_t>(counter_low >> 32);
  std::uint32_t c2 = static_cast<std::uint32_t>(counter_high);
  std::uint32_t c3 = static_cast<std::uint32_t>(counter_high >> 32);
  std::uint32_t k0 = static_cast<std::uint32_t>(key);
  std::uint32_t k1 = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; round++) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// FNV-1a, 64 bits: names a stream.
constexpr std::uint64_t hash_name(const char* text) {
  std::uint64_t h = 0xcbf29ce484222325ull;
  for (; *text != '\0'; text++) {
    h = (h ^ static_cast<unsigned char>(*text)) * 0x100000001b3ull;
  }
  return h;
}

/// Mixes a seed and a stream into a key (the finaliser of SplitMix64 over their sum).
constexpr std::uint64_t philox_key(std::uint64_t seed, std::uint64_t stream) {
  std::uint64_t z = seed * 0x9E3779B97F4A7C15ull + stream;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

/// Uniform in (0, 1), never an end point: 23 (52) bits, centred, so that no rounding reaches 1.
FARSIGHT_HOST_DEVICE inline float uniform_float(std::uint32_t bits) {
  return (static_cast<float>(bits >> 9) + 0.5f) * (1.0f / 8388608.0f);
}
FARSIGHT_HOST_DEVICE inline double uniform_double(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t mantissa = ((std::uint64_t{high} << 32) | low) >> 12;
  return (static_cast<double>(mantissa) + 0.5) * (1.0 / 4503599627370496.0);
}

/// Uniform integer in [0, n), exactly unbiased (Lemire's multiply and reject), from a word that may
/// refuse: then the next word must be asked. n >= 1.
struct BelowDraw {
  std::uint32_t value = 0;
  bool refused = false;
};
FARSIGHT_HOST_DEVICE inline BelowDraw below_from(std::uint32_t word, std::uint32_t n) {
  const std::uint64_t product = std::uint64_t{word} * n;
  const std::uint32_t low = static_cast<std::uint32_t>(product);
  // 2^32 mod n words too many; it is less than n, so the division is seldom needed.
  const bool refused = low < n && low < (0u - n) % n;
  return {static_cast<std::uint32_t>(product >> 32), refused};
}

/// The numbers of one (seed, stream, item), drawn one after another: for code whose number of draws
/// depends on what was drawn. The state is a counter, so copies repeat.
class PhiloxSequence {
 public:
  FARSIGHT_HOST_DEVICE PhiloxSequence(std::uint64_t key, std::uint64_t item)
      : key_(key), item_(item) {}

  FARSIGHT_HOST_DEVICE std::uint32_t next() {
    if (used_ == 4) {
      block_ = philox4x32(key_, item_, draws_++);
      used_ = 0;
    }
    return block_.v[used_++];
  }
  FARSIGHT_HOST_DEVICE std::uint64_t next64() {
    const std::uint64_t high = next();
    return (high << 32) | next();
  }
  /// Word `index` of the sequence, whatever was drawn.
  FARSIGHT_HOST_DEVICE std::uint32_t word(std::uint64_t index) const {
    return philox4x32(key_, item_, index / 4).v[index % 4];
  }
  /// Words drawn so far: the next one is word(drawn()).
  FARSIGHT_HOST_DEVICE std::uint64_t drawn() const {
    return 4 * draws_ - static_cast<std::uint64_t>(4 - used_);
  }
  /// Uniform integer in [0, n), exactly unbiased. n >= 1.
  FARSIGHT_HOST_DEVICE std::uint32_t below(std::uint32_t n) {
    BelowDraw draw = below_from(next(), n);
    while (draw.refused) {
      draw = below_from(next(), n);
    }
    return draw.value;
  }
  /// Uniform integer in [0, n) for 64-bit n: unbiased by masking and rejecting. n >= 1.
  FARSIGHT_HOST_DEVICE std::uint64_t below64(std::uint64_t n) {
    std::uint64_t mask = n - 1;
    for (int shift = 1; shift < 64; shift *= 2) {
      mask |= mask >> shift;
    }
    std::uint64_t draw = next64() & mask;
    while (draw >= n) {
      draw = next64() & mask;
    }
    return draw;
  }
  /// Uniform integer in [first, last], both ends included; fewer than 2^32 of them.
  FARSIGHT_HOST_DEVICE std::int32_t between(std::int32_t first, std::int32_t last) {
    const std::uint32_t base = static_cast<std::uint32_t>(first);
    return static_cast<std::int32_t>(base + below(static_cast<std::uint32_t>(last) - base + 1u));
  }

 private:
  std::uint64_t key_, item_, draws_ = 0;
  Random4 block_ = {};
  int used_ = 4;
};

}  // namespace farsight
