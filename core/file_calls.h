// The system calls behind core/files.h and core/atomic_folder.h, and what both make of them.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace farsight {

/// -1 and errno on failure, as in their manual pages. Tests replace single ones to make the Nth
/// call fail.
struct FileCalls {
  std::function<int(const char* path, int flags, mode_t mode)> open;
  std::function<ssize_t(int fd, const void* bytes, std::size_t count)> write;
  std::function<ssize_t(int fd, void* bytes, std::size_t count, off_t offset)> pread;
  std::function<int(int fd)> fsync;
  std::function<int(int fd)> close;
  std::function<int(const char* from, const char* to)> rename;
  std::function<int(const char* a, const char* b)> exchange;  ///< renameat2(RENAME_EXCHANGE)
  std::function<int(const char* path)> unlink;
  std::function<int(const char* path, mode_t mode)> mkdir;
  std::function<int(const char* path)> rmdir;
};
FileCalls system_file_calls();
/// The table in use, for this process: the system's unless a test assigned another.
FileCalls& file_calls();

/// Repeats a call that a signal interrupted.
template <class Call>
auto retried(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) {
    result = call();
  }
  return result;
}

/// close(), after which the descriptor is gone whatever it says: on Linux EINTR closes too.
int close_once(int fd);
/// Makes the entries of a folder durable.
void sync_folder(const std::filesystem::path& folder);
/// Removes a file, or a folder with all it holds; links themselves and not what they lead to.
/// Returns 0 (also when there is none) or the first error.
int remove_path(const std::filesystem::path& path);
/// NAME.tmp-PID-N: two processes never share one, so that nobody renames another's half file.
std::filesystem::path temporary_beside(const std::filesystem::path& path);
/// Whether an entry of this name was left by a process that was killed while it wrote.
bool is_leftover(std::string_view name);
/// The folder of `path`; "." when it names none.
std::filesystem::path parent_of(const std::filesystem::path& path);

/// "No space left on device"
std::string reason(int error);
/// Error(storage): "cannot ACTION PATH: REASON".
[[noreturn]] void storage_failure(std::string_view action, const std::filesystem::path& path,
                                  int error);
/// The same for writing, with how much room it needs and how much there is.
[[noreturn]] void write_failure(const std::filesystem::path& path, int error,
                                std::uint64_t needed_bytes);

}  // namespace farsight
