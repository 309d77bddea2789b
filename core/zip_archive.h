// A zip archive whose entries are stored as they are: what torch.save writes.
//
// Deflate is neither needed nor read, so no entry can be larger than the file: there are no zip
// bombs. The central directory is checked whole before anything is read: names without tricks, no
// name twice, no two entries over the same bytes, nothing behind the end, no encryption, one disk;
// zip64 is understood. Source: APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3. Checksums (CRC-32) are
// not compared: torch can be told to leave them out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/bounded_reader.h"
#include "core/files.h"

namespace farsight {

struct ZipEntry {
  std::string name;
  std::uint64_t begin = 0, bytes = 0;  ///< of the contents, within the file
};

class ZipArchive {
 public:
  /// Reads and checks the directory. Throws Error(corrupt) naming the file, the byte and the entry.
  explicit ZipArchive(const std::filesystem::path& path);

  const InputFile& file() const { return file_; }
  /// In the order of their bytes.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  /// Null when there is no such entry.
  const ZipEntry* find(std::string_view name) const;
  /// The contents of a small entry, at most `limit` bytes.
  std::vector<std::byte> read(const ZipEntry& entry, std::uint64_t limit) const;

 private:
  InputFile file_;
  std::vector<ZipEntry> entries_;
  std::map<std::string_view, const ZipEntry*> by_name_;
};

}  // namespace farsight
