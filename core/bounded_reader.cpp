#include "core/bounded_reader.h"

#include <fmt/format.h>

namespace farsight {

void detail::refuse(const Place& place, fmt::string_view text, fmt::format_args args) {
  throw Error(ExitCode::corrupt,
              fmt::format("{}: {} (byte {})", place.file, fmt::vformat(text, args), place.offset));
}

std::uint64_t checked_add(std::uint64_t a, std::uint64_t b, const Place& place,
                          std::string_view what) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) {
    refuse(place, "the {} overflows 64 bits: {} + {}", what, a, b);
  }
  return sum;
}

std::uint64_t checked_mul(std::uint64_t a, std::uint64_t b, const Place& place,
                          std::string_view what) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) {
    refuse(place, "the {} overflows 64 bits: {} x {}", what, a, b);
  }
  return product;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

BoundedReader::BoundedReader(std::span<const std::byte> bytes, std::string_view file,
                             std::uint64_t first_offset)
    : bytes_(bytes), file_(file), first_offset_(first_offset) {}

std::span<const std::byte> BoundedReader::take(std::uint64_t n, std::string_view what) {
  if (n > remaining()) {
    refuse(place(), "the {} needs {} bytes, {} are left", what, n, remaining());
  }
  const auto taken = bytes_.subspan(at_, n);
  at_ += n;
  return taken;
}

std::uint64_t BoundedReader::little_endian(std::uint64_t n, std::string_view what) {
  std::uint64_t value = 0;
  unsigned shift = 0;
  for (const std::byte b : take(n, what)) {
    value |= std::to_integer<std::uint64_t>(b) << shift;
    shift += 8;
  }
  return value;
}

std::uint8_t BoundedReader::u8(std::string_view what) {
  return static_cast<std::uint8_t>(little_endian(1, what));
}

std::uint16_t BoundedReader::u16(std::string_view what) {
  return static_cast<std::uint16_t>(little_endian(2, what));
}

std::uint32_t BoundedReader::u32(std::string_view what) {
  return static_cast<std::uint32_t>(little_endian(4, what));
}

std::uint64_t BoundedReader::u64(std::string_view what) {
  return little_endian(8, what);
}

std::uint64_t BoundedReader::add(std::uint64_t a, std::uint64_t b, std::string_view what) const {
  return checked_add(a, b, place(), what);
}

std::uint64_t BoundedReader::mul(std::uint64_t a, std::uint64_t b, std::string_view what) const {
  return checked_mul(a, b, place(), what);
}

std::uint64_t BoundedReader::at_most(std::uint64_t value, std::uint64_t highest,
                                     std::string_view what) const {
  if (value > highest) refuse(place(), "the {} is {}, at most {} is allowed", what, value, highest);
  return value;
}

void BoundedReader::expect_end() const {
  if (remaining() != 0) refuse(place(), "{} bytes follow the end of the contents", remaining());
}

}  // namespace farsight
