#include "core/zip_archive.h"

#include <algorithm>

#include "core/json.h"

namespace farsight {
namespace {

constexpr std::uint32_t kEndSignature = 0x06054b50, kEnd64Signature = 0x06064b50;
constexpr std::uint32_t kLocator64Signature = 0x07064b50;
constexpr std::uint32_t kCentralSignature = 0x02014b50, kLocalSignature = 0x04034b50;
constexpr std::uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocator64Bytes = 20, kLocalBytes = 30;
constexpr std::uint64_t kLargestDirectory = 100'000'000, kMostEntries = 1'000'000;
constexpr std::uint64_t kLongestName = 1024, kLongestComment = 65535;
constexpr std::uint32_t kIn64 = 0xffffffffu;  // the number stands in a zip64 field instead

/// entry "NAME": a hostile name is shortened and escaped.
std::string entry_called(std::string_view name) {
  return "entry " + Json(name.substr(0, 80)).dump();
}

std::vector<std::byte> bytes_at(const InputFile& file, std::uint64_t offset, std::uint64_t n) {
  std::vector<std::byte> bytes(n);
  file.read_at(offset, bytes);
  return bytes;
}

/// Where the central directory lies.
struct Directory {
  std::uint64_t begin = 0, bytes = 0, entries = 0;
  std::uint64_t end = 0;  ///< what follows it begins here
};

/// The fields of the zip64 record in place of those of the old one, which are full of ones.
Directory directory64(const InputFile& file, std::uint64_t end_at) {
  if (end_at < kLocator64Bytes + kEnd64Bytes) {
    refuse({file.path(), end_at}, "not a zip archive: no room for its zip64 directory");
  }
  const std::uint64_t locator_at = end_at - kLocator64Bytes;
  const auto locator_bytes = bytes_at(file, locator_at, kLocator64Bytes);
  BoundedReader locator(locator_bytes, file.path(), locator_at);
  if (locator.u32("zip64 locator") != kLocator64Signature) {
    refuse({file.path(), locator_at}, "the zip64 directory is missing");
  }
  locator.take(4, "zip64 disk");
  const std::uint64_t record_at = locator.u64("zip64 record's offset");
  if (record_at != locator_at - kEnd64Bytes) {
    refuse(locator.place(), "the zip64 record is said to be at byte {}, expected {}", record_at,
           locator_at - kEnd64Bytes);
  }
  const auto record_bytes = bytes_at(file, record_at, kEnd64Bytes);
  BoundedReader record(record_bytes, file.path(), record_at);
  if (record.u32("zip64 record") != kEnd64Signature) {
    refuse({file.path(), record_at}, "the zip64 record is missing");
  }
  record.take(20, "zip64 sizes, versions and disks");
  Directory directory{.end = record_at};
  const std::uint64_t here = record.u64("entries of this disk");
  directory.entries = record.u64("number of entries");
  directory.bytes = record.u64("size of the directory");
  directory.begin = record.u64("offset of the directory");
  if (here != directory.entries) refuse(record.place(), "the archive spans several disks");
  return directory;
}

/// torch.save writes a zip64 directory beside the old one, also where the old one would do.
bool has_locator64(const InputFile& file, std::uint64_t end_at) {
  if (end_at < kLocator64Bytes) return false;
  const auto bytes = bytes_at(file, end_at - kLocator64Bytes, kLocator64Bytes);
  return BoundedReader(bytes, file.path()).u32("signature") == kLocator64Signature;
}

Directory find_directory(const InputFile& file) {
  const std::uint64_t size = file.bytes();
  const std::uint64_t tail = std::min(size, kEndBytes + kLongestComment);
  const auto bytes = bytes_at(file, size - tail, tail);
  // The record may be followed by a comment, which may hold its signature: the comment's length has
  // to lead exactly to the end of the file.
  for (std::uint64_t back = kEndBytes; back <= tail; back++) {
    BoundedReader end(std::span<const std::byte>(bytes).subspan(tail - back), file.path(),
                      size - back);
    if (end.u32("signature") != kEndSignature) continue;
    const std::uint16_t disk = end.u16("disk"), first_disk = end.u16("disk of the directory");
    const std::uint16_t here = end.u16("entries of this disk");
    Directory directory{.end = size - back};
    directory.entries = end.u16("number of entries");
    directory.bytes = end.u32("size of the directory");
    directory.begin = end.u32("offset of the directory");
    if (end.u16("length of the comment") != end.remaining()) continue;
    if (disk != first_disk || here != directory.entries) {
      refuse({file.path(), size - back}, "the archive spans several disks");
    }
    if (!has_locator64(file, size - back)) return directory;
    const Directory wide = directory64(file, size - back);
    const bool same = (directory.entries == 0xffff || directory.entries == wide.entries) &&
                      (directory.bytes == kIn64 || directory.bytes == wide.bytes) &&
                      (directory.begin == kIn64 || directory.begin == wide.begin);
    if (!same) refuse({file.path(), size - back}, "the two zip directories differ");
    return wide;
  }
  refuse({file.path(), size}, "not a zip archive, or truncated: its directory is missing");
}

void check_name(const std::string& name, const Place& place) {
  const auto refuse_name = [&](std::string_view why) {
    refuse(place, "{}: {}", entry_called(name), why);
  };
  if (name.empty() || name.size() > kLongestName) refuse_name("a name must be 1 to 1024 bytes");
  if (name.find('\0') != std::string::npos) refuse_name("a zero byte in the name");
  if (name.find('\\') != std::string::npos || name.find(':') != std::string::npos) {
    refuse_name("a name with '\\' or ':'");
  }
  const std::string framed = "/" + name + "/";
  if (name.front() == '/' || framed.find("/../") != std::string::npos ||
      framed.find("/./") != std::string::npos) {
    refuse_name("a name that leads out of the archive");
  }
}

/// One record of the central directory; `begin` is still that of the local header.
ZipEntry read_record(BoundedReader& reader) {
  const Place place = reader.place();
  if (reader.u32("directory entry") != kCentralSignature) {
    refuse(place, "an entry of the zip directory is damaged");
  }
  reader.take(4, "versions");
  const std::uint16_t flags = reader.u16("flags"), method = reader.u16("method");
  reader.take(8, "time and checksum");
  std::uint64_t packed = reader.u32("packed size"), plain = reader.u32("size");
  const std::uint16_t name_bytes = reader.u16("length of the name");
  const std::uint16_t extra_bytes = reader.u16("length of the extra field");
  const std::uint16_t comment_bytes = reader.u16("length of the comment");
  reader.take(8, "disk and attributes");
  std::uint64_t at = reader.u32("offset of the entry");
  ZipEntry entry;
  entry.name = text_of(reader.take(name_bytes, "name"));
  check_name(entry.name, place);
  BoundedReader extra(reader.take(extra_bytes, "extra field"), reader.place().file, place.offset);
  while (extra.remaining() >= 4) {
    const std::uint16_t id = extra.u16("extra field's kind");
    const std::uint16_t bytes = extra.u16("extra field's length");
    BoundedReader field(extra.take(bytes, "extra field"), place.file, place.offset);
    if (id != 1) continue;
    if (plain == kIn64) plain = field.u64("zip64 size");
    if (packed == kIn64) packed = field.u64("zip64 packed size");
    if (at == kIn64) at = field.u64("zip64 offset");
  }
  reader.take(comment_bytes, "comment");
  if ((flags & 1u) != 0) refuse(place, "{} is encrypted", entry_called(entry.name));
  if (method != 0 || packed != plain) {
    refuse(place,
           "{} is compressed (method {}); only stored entries are read: save it with "
           "torch.save",
           entry_called(entry.name), method);
  }
  entry.begin = at;
  entry.bytes = plain;
  return entry;
}

}  // namespace

ZipArchive::ZipArchive(const std::filesystem::path& path) : file_(path) {
  const Directory directory = find_directory(file_);
  const Place place = {file_.path(), directory.end};
  if (directory.bytes > kLargestDirectory || directory.entries > kMostEntries) {
    refuse(place, "a zip directory of {} bytes and {} entries is too large", directory.bytes,
           directory.entries);
  }
  if (checked_add(directory.begin, directory.bytes, place, "end of the directory") !=
      directory.end) {
    refuse(place,
           "the zip directory does not end where it is said to: truncated, or something "
           "was put in front or behind");
  }
  const auto bytes = bytes_at(file_, directory.begin, directory.bytes);
  BoundedReader reader(bytes, file_.path(), directory.begin);
  for (std::uint64_t i = 0; i < directory.entries; i++) {
    entries_.push_back(read_record(reader));
  }
  reader.expect_end();
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const ZipEntry& a, const ZipEntry& b) { return a.begin < b.begin; });
  std::uint64_t free_from = 0;
  for (ZipEntry& entry : entries_) {
    const Place at = {file_.path(), entry.begin};
    if (entry.begin < free_from) {
      refuse(at, "{} overlaps the one before, which ends at {}", entry_called(entry.name),
             free_from);
    }
    if (checked_add(entry.begin, kLocalBytes, at, "end of the header") > directory.begin) {
      refuse(at, "{} lies outside the archive", entry_called(entry.name));
    }
    const auto local_bytes = bytes_at(file_, entry.begin, kLocalBytes);
    BoundedReader local(local_bytes, file_.path(), entry.begin);
    if (local.u32("entry") != kLocalSignature) {
      refuse(at, "{} does not begin where the directory says", entry_called(entry.name));
    }
    local.take(22, "header");
    const std::uint64_t name_bytes = local.u16("length of the name");
    const std::uint64_t skipped = name_bytes + local.u16("length of the extra field");
    const std::uint64_t begin = entry.begin + kLocalBytes + skipped;
    const std::uint64_t end = checked_add(begin, entry.bytes, at, "end of the entry");
    if (end > directory.begin) {
      refuse(at, "{} ends at {}, behind the last byte of the contents at {}",
             entry_called(entry.name), end, directory.begin);
    }
    if (text_of(bytes_at(file_, entry.begin + kLocalBytes, name_bytes)) != entry.name) {
      refuse(at, "{} has another name in the directory", entry_called(entry.name));
    }
    entry.begin = begin;
    free_from = end;
  }
  for (const ZipEntry& entry : entries_) {
    if (!by_name_.emplace(entry.name, &entry).second) {
      refuse({file_.path(), entry.begin}, "{} appears twice", entry_called(entry.name));
    }
  }
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second;
}

std::vector<std::byte> ZipArchive::read(const ZipEntry& entry, std::uint64_t limit) const {
  if (entry.bytes > limit) {
    refuse({file_.path(), entry.begin}, "{} is {} bytes, at most {} are allowed",
           entry_called(entry.name), entry.bytes, limit);
  }
  return bytes_at(file_, entry.begin, entry.bytes);
}

}  // namespace farsight
