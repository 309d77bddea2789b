// Metrics as TensorBoard reads them: event files of length-framed records.
//
//   record = u64 length | u32 masked crc32c(length) | data | u32 masked crc32c(data)     little endian
//   masked(c) = (c >> 15 | c << 17) + 0xa282ead8
//   data = an Event message, protocol buffers by hand:
//     double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5;
//     SessionLog session_log = 7
//     Summary { repeated Value value = 1 }  Value { string tag = 1; float simple_value = 2 }
//     SessionLog { enum status = 1 (START = 1) }
//
// A run that goes on writes a file of its own, which begins with a START at the first step that is
// new: TensorBoard then drops what an earlier file has from there on. Sources (tensorflow/core):
// lib/io/record_writer.h, util/event.proto, framework/summary.proto.
#pragma once

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace farsight {

/// CRC-32C (Castagnoli): of "123456789" it is 0xe3069283.
std::uint32_t crc32c(std::string_view bytes);

using Scalar = std::pair<std::string_view, double>;  ///< "train/loss", 3.25

class TensorBoardWriter {
 public:
  /// Begins a file in `folder`, which is made if it is not there, for steps after `step`. Throws
  /// Error(storage).
  TensorBoardWriter(const std::filesystem::path& folder, std::int64_t step);
  TensorBoardWriter(const TensorBoardWriter&) = delete;
  TensorBoardWriter& operator=(const TensorBoardWriter&) = delete;

  /// Flushed at once. Numbers that are not finite are left out. Throws Error(storage).
  void add(std::int64_t step, std::span<const Scalar> scalars);

  const std::filesystem::path& path() const { return path_; }

 private:
  void write(const std::string& event);

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::filesystem::path path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace farsight
