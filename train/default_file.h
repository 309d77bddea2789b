// What is read where an option names nothing: a known file of the data directory.
#pragma once

#include <filesystem>
#include <string_view>

namespace farsight {

struct DefaultFile {
  std::string_view path;    ///< of data/known_files.h
  std::string_view what;    ///< in a question: "which text?"
  std::string_view option;  ///< that names another: "--corpus FILES (with make: DATA=FILES)"
};

inline constexpr DefaultFile kDefaultTokenizer = {"tokenizer/20B_tokenizer.json", "tokenizer",
                                                  "--tokenizer FILE"};

/// Where it lies in the data directory (`asked`, else FARSIGHT_DATA). `title` opens messages. Throws
/// Error(usage) where no data directory is named, Error(data) where it is not in there; either says
/// what to give.
std::filesystem::path default_file(std::string_view title, const DefaultFile& file,
                                   const std::filesystem::path& asked);

}  // namespace farsight
