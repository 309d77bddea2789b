// SHA-256 (FIPS 180-4, section 6.2): whether a file is the one that its publisher named. The bytes of
// checkpoints and shards have the faster XXH3 of core/hash.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace farsight {

/// The hash of bytes that arrive in pieces; where they are cut does not matter.
class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  /// 64 lower-case digits, of everything so far; nothing may follow.
  std::string finish();

 private:
  void take_block(const std::uint8_t* block);

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_ = {};
  std::size_t filled_ = 0;   ///< bytes of block_
  std::uint64_t bytes_ = 0;  ///< taken so far
};

std::string sha256(std::string_view text);
/// Of a file's contents, read in pieces. Throws what InputFile does.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace farsight
