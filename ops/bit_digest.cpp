#include "ops/bit_digest.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace farsight {

std::uint64_t bit_digest(const Tensor& values) {
  check(values.dense() && values.bytes() % 4 == 0 && values.bytes() / 4 <= std::int64_t{1} << 32,
        "bit_digest: values must be dense words, at most 2^32, got {} bytes", values.bytes());
  // Tensors have no whole numbers of 64 bits; f64 has the room.
  static_assert(sizeof(std::uint64_t) == sizeof(double));
  const Tensor shares =
      Tensor::empty({BitDigestArgs::kShares}, DType::f64, values.device(), "digest");
  const BitDigestArgs a{.words = static_cast<const std::uint32_t*>(values.ptr()),
                        .shares = static_cast<std::uint64_t*>(shares.ptr()),
                        .count = values.bytes() / 4};
  FARSIGHT_LAUNCH(bit_digest, values.device(), a);
  const Tensor here = shares.to(Device::cpu);
  const auto* parts = static_cast<const std::uint64_t*>(here.ptr());
  return std::accumulate(parts, parts + BitDigestArgs::kShares, std::uint64_t{0});
}

namespace cpu {

void bit_digest(const BitDigestArgs& a) {
  constexpr std::int64_t kBlock = 65536;
  std::vector<std::uint64_t> sums(static_cast<std::size_t>((a.count + kBlock - 1) / kBlock));
  parallel_blocks(a.count, kBlock, [&](std::int64_t begin, std::int64_t end) {
    std::uint64_t sum = 0;
    for (std::int64_t i = begin; i < end; i++) {
      std::uint32_t word = 0;  // the bits of a float, it may be
      std::memcpy(&word, a.words + i, sizeof word);
      sum += mixed_word(static_cast<std::uint64_t>(i), word);
    }
    sums[static_cast<std::size_t>(begin / kBlock)] = sum;
  });
  std::fill_n(a.shares, BitDigestArgs::kShares, std::uint64_t{0});
  a.shares[0] = std::accumulate(sums.begin(), sums.end(), std::uint64_t{0});
}

}  // namespace cpu
}  // namespace farsight
