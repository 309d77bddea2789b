// The XXH3 of large files, remembered: whoever starts with the same text again need not read all of it
// to know that it is the same.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

namespace farsight {

/// The hash of `file`: what `folder` remembers of it, if its device, inode, size and times are as they
/// were then; else what `compute` says, which is remembered if the file has not changed for
/// `settled_seconds` (a later change could have the same times otherwise). A folder that cannot be
/// written remembers nothing. Throws Error(storage) for a file that is not there, and what `compute` throws.
std::uint64_t remembered_hash(const std::filesystem::path& folder,
                              const std::filesystem::path& file,
                              const std::function<std::uint64_t()>& compute,
                              std::int64_t settled_seconds = 3);

}  // namespace farsight
