#include "train/operations/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include "core/check.h"
#include "core/files.h"

namespace farsight {
namespace {

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); i++) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; bit++) {
      value = (value & 1) != 0 ? value >> 1 ^ 0x82f63b78 : value >> 1;
    }
    table[i] = value;
  }
  return table;
}

std::uint32_t masked(std::uint32_t crc) {
  return std::rotr(crc, 15) + 0xa282ead8;
}

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (unsigned shift = 0; shift < 8 * sizeof(T); shift += 8) {
    bytes += static_cast<char>(value >> shift & 0xff);
  }
  return bytes;
}

// Fields of a message: (number << 3 | wire type), then the value.
std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) {
    bytes += static_cast<char>((value & 0x7f) | 0x80);
  }
  return bytes += static_cast<char>(value);
}
std::string number_field(unsigned number, std::uint64_t value) {
  return varint(number << 3) + varint(value);
}
std::string double_field(unsigned number, double value) {
  return varint(number << 3 | 1) + little_endian(std::bit_cast<std::uint64_t>(value));
}
std::string float_field(unsigned number, float value) {
  return varint(number << 3 | 5) + little_endian(std::bit_cast<std::uint32_t>(value));
}
std::string bytes_field(unsigned number, std::string_view bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

double wall_time() {
  using std::chrono::system_clock;
  return std::chrono::duration<double>(system_clock::now().time_since_epoch()).count();
}

std::string event_at(std::int64_t step) {
  return double_field(1, wall_time()) + number_field(2, static_cast<std::uint64_t>(step));
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = make_table();
  std::uint32_t crc = ~std::uint32_t{0};
  for (const char c : bytes) {
    crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ crc >> 8;
  }
  return ~crc;
}

TensorBoardWriter::TensorBoardWriter(const std::filesystem::path& folder, std::int64_t step) {
  make_output_folder(folder);
  const auto seconds = static_cast<std::int64_t>(wall_time());
  // TensorBoard reads files in the order of their names.
  for (int number = 0; file_ == nullptr; number++) {
    path_ = folder / fmt::format("events.out.tfevents.{}.{}.{}.{}", seconds, host_name(),
                                 ::getpid(), number);
    file_.reset(std::fopen(path_.c_str(), "wxe"));
    require(file_ != nullptr || errno == EEXIST, ExitCode::storage, "cannot write {}: {}",
            path_.string(), std::strerror(errno));
  }
  write(double_field(1, wall_time()) + bytes_field(3, "brain.Event:2"));
  write(event_at(step + 1) + bytes_field(7, number_field(1, 1)));
}

void TensorBoardWriter::add(std::int64_t step, std::span<const Scalar> scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    if (!std::isfinite(value)) continue;
    summary += bytes_field(1, bytes_field(1, tag) + float_field(2, static_cast<float>(value)));
  }
  write(event_at(step) + bytes_field(5, summary));
}

void TensorBoardWriter::write(const std::string& event) {
  const std::string length = little_endian(static_cast<std::uint64_t>(event.size()));
  const std::string record =
      length + little_endian(masked(crc32c(length))) + event + little_endian(masked(crc32c(event)));
  const bool written = std::fwrite(record.data(), 1, record.size(), file_.get()) == record.size() &&
                       std::fflush(file_.get()) == 0;
  require(written, ExitCode::storage, "cannot write {}: {}", path_.string(), std::strerror(errno));
}

}  // namespace farsight
