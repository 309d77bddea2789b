// Files that survive a crash, a full disk and a killed process.
//
// A file is written under a temporary name in its own folder, synced, renamed over the old one, and
// the folder is synced: at every moment the name holds the whole old or the whole new contents. No
// existing file is ever truncated: somebody may have it mapped. core/atomic_folder.h does the same
// for a folder of files.
//
// Failures are Error(storage) with the path, the reason, the bytes needed and the bytes free. A
// file that ends too early is Error(corrupt).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "core/hash.h"

namespace farsight {

/// A file opened for reading at any offset. Its size is taken once, at the beginning.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  const std::string& path() const { return path_; }
  std::uint64_t bytes() const { return bytes_; }
  /// Fills `out` from `offset`. Error(corrupt) when the file ends before. Any number of threads.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  std::string path_;
  int fd_ = -1;
  std::uint64_t bytes_ = 0;
};

/// The contents of a regular file of at most `limit` bytes.
std::string read_file(const std::filesystem::path& path,
                      std::uint64_t limit = std::uint64_t{1} << 30);

/// XXH3-64 of a file's contents, read in pieces.
std::uint64_t xxh3_of_file(const std::filesystem::path& path);

/// A new file, written from front to back.
class OutputFile {
 public:
  /// A pipe, a terminal or another device that is there already: bytes go into it as they come, it
  /// is never removed, and nothing makes them durable.
  enum class Device { existing };
  OutputFile(const std::filesystem::path& path, Device);

  /// `path` must not exist. `needed_bytes`, if known, is told when the disk is full.
  explicit OutputFile(const std::filesystem::path& path, std::uint64_t needed_bytes = 0);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  /// Removes the file unless it was finished.
  ~OutputFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Makes it durable and closes it. Nothing can be written afterwards.
  void finish();

  void set_needed_bytes(std::uint64_t bytes) { needed_bytes_ = bytes; }
  std::uint64_t bytes() const { return bytes_; }
  /// XXH3-64 of what was written.
  std::uint64_t xxh3() const { return hash_.value(); }

 private:
  std::filesystem::path path_;
  bool is_device_ = false;
  int fd_ = -1;
  std::uint64_t needed_bytes_ = 0, bytes_ = 0;
  Xxh3 hash_;
};

/// Writes the contents of one file.
using Filler = std::function<void(OutputFile& file)>;

/// Replaces `path` (of a symbolic link, what it leads to), or leaves it as it was and throws. What is
/// there and no file, a pipe or a terminal, gets the bytes as they come. The folder must exist. An error of the last
/// step, syncing the folder, leaves the new contents in place: whole, but perhaps not durable.
void write_file_atomically(const std::filesystem::path& path, const Filler& fill);
void write_file_atomically(const std::filesystem::path& path, std::string_view contents);

/// A small text file that names an entry of its own folder: `latest`. Reading refuses anything but
/// a plain name, so that a pointer never leads out of the folder.
void write_pointer(const std::filesystem::path& path, const std::string& name);
std::string read_pointer(const std::filesystem::path& path);

/// Makes a folder for results, parents included, and tries to write there: one sentence now instead
/// of a failure after hours.
void make_output_folder(const std::filesystem::path& folder);

}  // namespace farsight
