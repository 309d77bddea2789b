// The files of evaluation sets, as their authors publish them. They are small, and are read whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "core/json.h"

namespace farsight {

/// A text file, or what is in it if its name ends in .zst or .gz. Throws Error(storage), Error(corrupt)
/// for damaged compression, for more than 1 GiB of text, and for what is not UTF-8.
std::string read_text_file(const std::filesystem::path& path);

/// A value a line, blank lines skipped; the first `most` of them, 0: all. Throws Error(corrupt) naming
/// file and byte; a line may have 16 MiB.
std::vector<Json> read_json_lines(const std::filesystem::path& path, std::int64_t most);

/// A whole number of 0 ... `highest` a line. Throws Error(corrupt) naming file and line.
std::vector<std::int64_t> read_label_lines(const std::filesystem::path& path, std::int64_t highest);

}  // namespace farsight
