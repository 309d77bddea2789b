#include "core/files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <system_error>
#include <vector>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/file_calls.h"

namespace farsight {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t kLargestCall = std::uint64_t{1}
                                       << 30;  // Linux moves less than 2 GiB a call
constexpr mode_t kFileMode = 0666;             // less the umask, as everybody's files
constexpr mode_t kFolderMode = 0777;

}  // namespace

InputFile::InputFile(const fs::path& path) : path_(path.string()) {
  // O_NONBLOCK: a pipe is refused below instead of being waited for.
  fd_ = retried(
      [&] { return file_calls().open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0); });
  if (fd_ < 0) storage_failure("open", path, errno);
  struct stat info = {};
  const bool known = ::fstat(fd_, &info) == 0;
  const int error = errno;
  if (!known || !S_ISREG(info.st_mode)) {
    close_once(fd_);
    if (!known) storage_failure("open", path, error);
    fail(ExitCode::storage, "cannot read {}: it is {}, a file is expected", path_,
         S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
  }
  bytes_ = static_cast<std::uint64_t>(info.st_size);
}

InputFile::~InputFile() {
  close_once(fd_);
}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const std::size_t piece = std::min(out.size(), kLargestCall);
    const ssize_t got = retried(
        [&] { return file_calls().pread(fd_, out.data(), piece, static_cast<off_t>(offset)); });
    if (got < 0) storage_failure("read", path_, errno);
    if (got == 0)
      refuse({path_, offset}, "the file ends here, {} more bytes were expected", out.size());
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

std::string read_file(const fs::path& path, std::uint64_t limit) {
  const InputFile file(path);
  require(file.bytes() <= limit, ExitCode::corrupt, "{}: {} bytes, at most {} are expected here",
          file.path(), file.bytes(), limit);
  std::string contents(file.bytes(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(contents)));
  return contents;
}

std::uint64_t xxh3_of_file(const fs::path& path) {
  const InputFile file(path);
  std::vector<std::byte> piece(std::min<std::uint64_t>(file.bytes(), std::uint64_t{1} << 20));
  Xxh3 hash;
  for (std::uint64_t at = 0; at < file.bytes(); at += piece.size()) {
    piece.resize(std::min<std::uint64_t>(piece.size(), file.bytes() - at));
    file.read_at(at, piece);
    hash.update(piece);
  }
  return hash.value();
}

OutputFile::OutputFile(const fs::path& path, std::uint64_t needed_bytes)
    : path_(path), needed_bytes_(needed_bytes) {
  constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  fd_ = retried([&] { return file_calls().open(path_.c_str(), flags, kFileMode); });
  if (fd_ < 0) write_failure(path_, errno, needed_bytes_);
}

OutputFile::OutputFile(const fs::path& path, Device) : path_(path), is_device_(true) {
  fd_ = retried([&] { return file_calls().open(path_.c_str(), O_WRONLY | O_CLOEXEC, 0); });
  if (fd_ < 0) write_failure(path_, errno, 0);
}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  close_once(fd_);
  if (!is_device_) remove_path(path_);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  check(fd_ >= 0, "OutputFile: write after finish");
  hash_.update(bytes);
  needed_bytes_ = std::max(needed_bytes_, bytes_ + bytes.size());
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), kLargestCall);
    const ssize_t put = retried([&] { return file_calls().write(fd_, bytes.data(), piece); });
    if (put <= 0) write_failure(path_, put < 0 ? errno : EIO, needed_bytes_);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    bytes_ += static_cast<std::uint64_t>(put);
  }
}

void OutputFile::write(std::string_view text) {
  write(bytes_of(text));
}

void OutputFile::finish() {
  check(fd_ >= 0, "OutputFile: finished twice");
  // After a failed fsync the kernel may have dropped the pages: a second one would say yes. So a
  // failure is final.
  int error = 0;
  if (!is_device_ && retried([&] { return file_calls().fsync(fd_); }) < 0) error = errno;
  if (close_once(fd_) < 0 && error == 0) error = errno;
  fd_ = -1;
  if (error == 0) return;
  if (!is_device_) remove_path(path_);
  write_failure(path_, error, needed_bytes_);
}

void write_file_atomically(const fs::path& given, const Filler& fill) {
  std::error_code ignored;
  // A rename would put a file in the place of the link itself, or of the device.
  const fs::path path = fs::is_symlink(given, ignored) ? fs::weakly_canonical(given) : given;
  if (fs::is_other(path, ignored)) {
    OutputFile device(path, OutputFile::Device::existing);
    fill(device);
    return device.finish();
  }
  const fs::path temporary = temporary_beside(path);
  std::uint64_t written = 0;
  {
    OutputFile file(temporary);
    fill(file);
    file.finish();
    written = file.bytes();
  }
  if (retried([&] { return file_calls().rename(temporary.c_str(), path.c_str()); }) < 0) {
    const int error = errno;
    remove_path(temporary);
    write_failure(path, error, written);
  }
  sync_folder(parent_of(path));
}

void write_file_atomically(const fs::path& path, std::string_view contents) {
  write_file_atomically(path, [&](OutputFile& file) {
    file.set_needed_bytes(contents.size());
    file.write(contents);
  });
}

void write_pointer(const fs::path& path, const std::string& name) {
  write_file_atomically(path, name + "\n");
}

std::string read_pointer(const fs::path& path) {
  constexpr std::uint64_t kLongestName = 255;
  std::string name = read_file(path, kLongestName + 1);
  if (name.ends_with('\n')) name.pop_back();
  const bool plain =
      !name.empty() && name != "." && name != ".." &&
      std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c <= '~' && c != '/'; });
  if (!plain) refuse({path.string(), 0}, "expected the name of an entry of the same folder");
  return name;
}

void make_output_folder(const fs::path& folder) {
  const auto unusable = [&](const std::string& why) {
    fail(ExitCode::storage, "the output folder {} cannot be written: {}; choose another folder",
         folder.string(), why);
  };
  fs::path made;
  for (const fs::path& part : folder) {
    made /= part;
    if (retried([&] { return file_calls().mkdir(made.c_str(), kFolderMode); }) == 0) continue;
    const int error = errno;
    std::error_code ignored;
    if (fs::is_directory(made, ignored)) continue;
    unusable(error == EEXIST ? made.string() + " is a file" : reason(error));
  }
  const fs::path probe = temporary_beside(folder / "probe");
  const int fd = retried([&] {
    return file_calls().open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode);
  });
  if (fd < 0) unusable(reason(errno));
  close_once(fd);
  remove_path(probe);
}

}  // namespace farsight
