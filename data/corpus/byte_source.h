// The bytes of a file, unpacked as they are asked for: plain, zstd (any number of frames) or gzip (any
// number of members), in memory that depends on no file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace farsight {

enum class Compression { none, zstd, gzip };

/// What the first bytes of a file betray: "a web page (HTML)", "a gzip file", ...; "" when nothing.
std::string_view recognised_content(std::string_view beginning);

class ByteSource {
 public:
  /// Throws Error(storage) when the file cannot be read, Error(corrupt) when it is empty or begins
  /// with something else than its compression or plain text would.
  ByteSource(const std::filesystem::path& path, Compression compression);
  ByteSource(ByteSource&&) noexcept;
  ~ByteSource();

  /// Fills `out` from its front and returns how many bytes it got; 0 at the end. Throws
  /// Error(corrupt) naming the byte of the file for a stream that is damaged, cut off, or needs a
  /// window of more than 128 MiB.
  std::size_t read(std::span<std::byte> out);

  const std::string& path() const;
  /// Of the file as it lies there: its size, how much of that was read, and the XXH3 of that.
  std::uint64_t packed_bytes() const;
  std::uint64_t packed_bytes_read() const;
  std::uint64_t packed_xxh3() const;

  struct Decoder;

 private:
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace farsight
