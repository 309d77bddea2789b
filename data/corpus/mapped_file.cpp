#include "data/corpus/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "core/check.h"
#include "core/file_calls.h"

namespace farsight {

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path.string()) {
  const int fd = retried(
      [&] { return file_calls().open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0); });
  if (fd < 0) storage_failure("open", path, errno);
  struct stat info = {};
  void* mapped = MAP_FAILED;
  int error = ::fstat(fd, &info) == 0 ? 0 : errno;
  if (error == 0) {
    size_ = static_cast<std::size_t>(info.st_size);
    mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    error = errno;
  }
  close_once(fd);
  if (mapped == MAP_FAILED) storage_failure("map", path, error);
  data_ = static_cast<const std::byte*>(mapped);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace farsight
