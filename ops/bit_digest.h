// A number of 64 bits made of every bit of a buffer, the same on every device: whether ranks hold the same
// parameters is asked of it (train/ranks/rank_job.h). Not differentiable.
//
//   digest = sum over i of mix(i * 2^32 + word i)   modulo 2^64,   words of 32 bits
//   mix: x ^= x >> 30; x *= 0xbf58476d1ce4e5b9; x ^= x >> 27; x *= 0x94d049bb133111eb; x ^= x >> 31
//
// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), a bijection: one word that differs, in
// whichever bits, always changes the digest; several that differ leave it as it was once in 2^64. The
// place counts, so words that change places are noticed. Whole numbers have no rounding: the order of
// the sum is free. A sum and no hash of a sequence, because a GPU reads 0.5 GB in its own order in
// 0.2 ms and takes 50 to hand them over.
#pragma once

#include "ops/kernel.h"

namespace farsight {

/// Of a dense tensor of at most 2^32 words, whatever its type. Waits for the device.
std::uint64_t bit_digest(const Tensor& values);

struct BitDigestArgs {
  static constexpr int kShares = 1024;
  const std::uint32_t* words = nullptr;
  std::uint64_t* shares = nullptr;  // [kShares]: what adds up to the digest; on the device
  std::int64_t count = 0;           // words
};

FARSIGHT_HOST_DEVICE inline std::uint64_t mixed_word(std::uint64_t place, std::uint32_t word) {
  std::uint64_t x = (place << 32) | word;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace farsight

FARSIGHT_KERNEL(bit_digest, BitDigestArgs)
