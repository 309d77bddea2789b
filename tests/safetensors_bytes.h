// safetensors files made by hand, right or wrong.
#pragma once

#include <cstdint>
#include <string>

namespace farsight {

/// A file of the given header and data, whatever they say.
inline std::string file_of(const std::string& header, const std::string& data = "",
                           std::int64_t length = -1) {
  const auto n =
      static_cast<std::uint64_t>(length < 0 ? static_cast<std::int64_t>(header.size()) : length);
  std::string file;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    file += static_cast<char>(n >> shift & 0xff);
  }
  return file + header + data;
}

/// The smallest file that is worth damaging.
inline const std::string kSmall =
    file_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");

}  // namespace farsight
