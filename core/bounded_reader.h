// The one reader for bytes that somebody else wrote: model files, tokenizers, data sets.
//
// A length or a count from a file is never used before it was compared with what is left, no sum or
// product of such numbers may wrap, and every refusal names the file and the byte:
//
//   BoundedReader reader(bytes, "train.idx");
//   const std::uint64_t documents = reader.u64("number of documents");
//   const auto table = reader.take(reader.mul(documents, 8, "size of the table"), "table");
//     -> "train.idx: the table needs 4096 bytes, 12 are left (byte 8)"
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/check.h"

namespace farsight {

/// A byte of an untrusted file.
struct Place {
  std::string_view file;
  std::uint64_t offset = 0;
};

namespace detail {
[[noreturn]] void refuse(const Place& place, fmt::string_view text, fmt::format_args args);
}

/// Throws Error(corrupt): "FILE: sentence (byte OFFSET)".
template <class... Args>
[[noreturn]] inline void refuse(const Place& place,
                                fmt::format_string<std::type_identity_t<Args>...> text,
                                const Args&... args) {
  detail::refuse(place, text, fmt::make_format_args(args...));
}

/// a + b and a * b; refuse() when the result does not fit 64 bits. `what` names the result.
std::uint64_t checked_add(std::uint64_t a, std::uint64_t b, const Place& place,
                          std::string_view what);
std::uint64_t checked_mul(std::uint64_t a, std::uint64_t b, const Place& place,
                          std::string_view what);

/// The bytes of a text, and the text in bytes: views.
std::span<const std::byte> bytes_of(std::string_view text);
std::string_view text_of(std::span<const std::byte> bytes);

class BoundedReader {
 public:
  /// `bytes` must outlive the reader. `first_offset`: where they begin within the file.
  BoundedReader(std::span<const std::byte> bytes, std::string_view file,
                std::uint64_t first_offset = 0);

  std::uint64_t remaining() const { return bytes_.size() - at_; }
  Place place() const { return {file_, first_offset_ + at_}; }

  /// The next n bytes, a view. Refuses when fewer are left.
  std::span<const std::byte> take(std::uint64_t n, std::string_view what);
  /// Little-endian numbers.
  std::uint8_t u8(std::string_view what);
  std::uint16_t u16(std::string_view what);
  std::uint32_t u32(std::string_view what);
  std::uint64_t u64(std::string_view what);

  std::uint64_t add(std::uint64_t a, std::uint64_t b, std::string_view what) const;
  std::uint64_t mul(std::uint64_t a, std::uint64_t b, std::string_view what) const;
  /// `value`, refused when above `highest`.
  std::uint64_t at_most(std::uint64_t value, std::uint64_t highest, std::string_view what) const;
  /// Refuses bytes that nothing has read.
  void expect_end() const;

 private:
  std::uint64_t little_endian(std::uint64_t n, std::string_view what);

  std::span<const std::byte> bytes_;
  std::string file_;
  std::uint64_t first_offset_;
  std::uint64_t at_ = 0;
};

}  // namespace farsight
