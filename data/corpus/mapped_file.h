// A file that is read where it lies: its pages come and go as the system sees fit.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace farsight {

class MappedFile {
 public:
  /// Maps a regular file of at least one byte. Throws Error(storage) when that cannot be.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  MappedFile(const MappedFile&) = delete;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace farsight
