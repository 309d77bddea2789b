#include "core/file_calls.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <system_error>

#include "core/arena.h"
#include "core/check.h"

namespace farsight {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kInProgress = ".inprogress";
constexpr std::string_view kTemporary = ".tmp-";

}  // namespace

std::string reason(int error) {
  return std::generic_category().message(error);
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

void storage_failure(std::string_view action, const fs::path& path, int error) {
  fail(ExitCode::storage, "cannot {} {}: {}", action, path.string(), reason(error));
}

void write_failure(const fs::path& path, int error, std::uint64_t needed_bytes) {
  std::error_code no_space_known;
  const fs::space_info space = fs::space(parent_of(path), no_space_known);
  const std::string free = no_space_known
                               ? "an unknown amount is"
                               : human_bytes(static_cast<std::int64_t>(space.available)) + " are";
  const std::string asked = path.string();  // for a temporary file: the name it was to get
  fail(ExitCode::storage, "cannot write {}: {}; it needs {}, {} free there",
       asked.substr(0, asked.rfind(kTemporary)), reason(error),
       human_bytes(static_cast<std::int64_t>(needed_bytes)), free);
}

int close_once(int fd) {
  const int result = file_calls().close(fd);
  return result < 0 && errno == EINTR ? 0 : result;
}

void sync_folder(const fs::path& folder) {
  const int fd = retried(
      [&] { return file_calls().open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0); });
  if (fd < 0) storage_failure("open the folder", folder, errno);
  // Some network file systems cannot sync a folder, and say EINVAL.
  const bool bad = retried([&] { return file_calls().fsync(fd); }) < 0 && errno != EINVAL;
  const int error = errno;
  close_once(fd);
  if (bad) storage_failure("sync the folder", folder, error);
}

int remove_path(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(fs::symlink_status(path, ignored))) {
    const int result = retried([&] { return file_calls().unlink(path.c_str()); });
    return result < 0 && errno != ENOENT ? errno : 0;
  }
  int error = 0;
  for (fs::directory_iterator at(path, ignored), end; at != end; at.increment(ignored)) {
    const int failed = remove_path(at->path());
    if (error == 0) error = failed;
  }
  const bool bad = retried([&] { return file_calls().rmdir(path.c_str()); }) < 0;
  return bad && error == 0 ? errno : error;
}

fs::path temporary_beside(const fs::path& path) {
  static std::atomic<int> counter{0};
  fs::path temporary = path;
  temporary += fmt::format("{}{}-{}", kTemporary, ::getpid(), counter++);
  return temporary;
}

bool is_leftover(std::string_view name) {
  return name.ends_with(kInProgress) || name.find(kTemporary) != std::string_view::npos;
}

FileCalls system_file_calls() {
  return {
      .open = [](const char* path, int flags, mode_t mode) { return ::open(path, flags, mode); },
      .write = ::write,
      .pread = ::pread,
      .fsync = ::fsync,
      .close = ::close,
      .rename = ::rename,
      .exchange =
          [](const char* a, const char* b) {
            return ::renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
          },
      .unlink = ::unlink,
      .mkdir = ::mkdir,
      .rmdir = ::rmdir,
  };
}

FileCalls& file_calls() {
  static FileCalls calls = system_file_calls();
  return calls;
}

}  // namespace farsight
