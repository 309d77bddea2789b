#include "data/corpus/file_hashes.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/file_calls.h"
#include "core/files.h"
#include "core/hash.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

struct Stamp {
  std::string text;  ///< all that changes when the file does
  bool settled = false;
};

Stamp stamp_of(const fs::path& file, std::int64_t settled_seconds) {
  struct stat info = {};
  if (::stat(file.c_str(), &info) < 0) storage_failure("open", file, errno);
  // The time of change is none that a program can set.
  const timespec changed = info.st_ctim, written = info.st_mtim;
  const time_t now = ::time(nullptr), last = std::max(changed.tv_sec, written.tv_sec);
  return {fmt::format("{} {} {} {}.{:09} {}.{:09} ", info.st_dev, info.st_ino, info.st_size,
                      written.tv_sec, written.tv_nsec, changed.tv_sec, changed.tv_nsec),
          now - last >= settled_seconds};
}

/// One file of `folder` for every path.
fs::path note_on(const fs::path& folder, const fs::path& file) {
  return folder / hex(xxh3_64(bytes_of(fs::canonical(file).native())));
}

std::optional<std::uint64_t> noted_hash(const fs::path& note, const Stamp& stamp) {
  std::error_code none;
  if (!fs::is_regular_file(note, none)) return std::nullopt;
  const std::string text = read_file(note);
  if (!text.starts_with(stamp.text)) return std::nullopt;
  const std::string_view digits = std::string_view(text).substr(stamp.text.size());
  std::uint64_t hash = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), hash, 16);
  const bool whole = error == std::errc() && digits.size() == 16 && end == digits.data() + digits.size();
  return whole ? std::optional(hash) : std::nullopt;
}

}  // namespace

std::uint64_t remembered_hash(const fs::path& folder, const fs::path& file,
                              const std::function<std::uint64_t()>& compute,
                              std::int64_t settled_seconds) {
  const Stamp before = stamp_of(file, settled_seconds);
  const fs::path note = note_on(folder, file);
  try {
    if (const auto hash = noted_hash(note, before)) return *hash;
  } catch (const Error&) {  // as good as none
  }
  const std::uint64_t hash = compute();
  if (!before.settled || stamp_of(file, 0).text != before.text) return hash;
  try {
    make_output_folder(folder);
    write_file_atomically(note, before.text + hex(hash));
  } catch (const Error&) {
  }
  return hash;
}

}  // namespace farsight
