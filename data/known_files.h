// The files that tokenising, training and evaluation of language models know by name: where each comes
// from, how to be sure that it is the one, and under which licence. The project ships none of them;
// `farsight data fetch` copies them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace farsight {

struct KnownFile {
  std::string_view set;     ///< "piqa"
  std::string_view path;    ///< in a data directory: "piqa/valid.jsonl"
  std::string_view also;    ///< further paths it is found under, each behind a ' '
  std::string_view source;  ///< who publishes it, and where
  std::string_view url;     ///< of the file itself; empty: there is only a source to take it from
  std::string_view licence;
  std::int64_t bytes = 0;   ///< 0: not known
  std::string_view sha256;  ///< empty: not known
};

std::span<const KnownFile> known_files();

/// Where a known file lies under `data_dir`, by its path or another of its names; empty when it is not
/// there.
std::filesystem::path find_known(const KnownFile& file, const std::filesystem::path& data_dir);
/// The same of the one whose KnownFile::path is `path`, which must be one's.
std::filesystem::path find_known(std::string_view path, const std::filesystem::path& data_dir);

/// The first known file of these paths that is there. Throws Error(storage), saying where it was looked
/// for and how to get it: "piqa: there is no piqa/valid.jsonl in data ...".
std::filesystem::path require_known(std::string_view what, std::span<const std::string_view> paths,
                                    const std::filesystem::path& data_dir);

/// The data directory: `asked`, else FARSIGHT_DATA; empty when neither is given. Throws Error(usage)
/// when it is no folder.
std::filesystem::path named_data_directory(const std::filesystem::path& asked);
/// The same. Throws Error(usage) when neither is given, too.
std::filesystem::path data_directory(const std::filesystem::path& asked);

}  // namespace farsight
