#include "core/atomic_folder.h"

#include <system_error>

#include "core/check.h"
#include "core/file_calls.h"

namespace farsight {
namespace fs = std::filesystem;
namespace {

int rename_path(const fs::path& from, const fs::path& to) {
  return retried([&] { return file_calls().rename(from.c_str(), to.c_str()); });
}

/// Two folders change their names, at once where the file system can. Others (NFS among them) refuse
/// that: there a process killed in between leaves `b` without a folder.
int exchange(const fs::path& a, const fs::path& b) {
  const int result = retried([&] { return file_calls().exchange(a.c_str(), b.c_str()); });
  if (result == 0 || (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)) return result;
  fs::path aside = b;
  aside += ".replaced.inprogress";
  if (rename_path(b, aside) < 0) return -1;
  if (rename_path(a, b) < 0) {
    const int error = errno;
    rename_path(aside, b);
    errno = error;
    return -1;
  }
  return rename_path(aside, a);
}

}  // namespace

AtomicFolder::AtomicFolder(const fs::path& path) : path_(path), in_progress_(path) {
  check(path_.has_filename(), "AtomicFolder: '{}' has no name", path.string());
  in_progress_ += ".inprogress";
  if (const int error = remove_path(in_progress_); error != 0) {
    storage_failure("remove what an interrupted save left in", in_progress_, error);
  }
  if (retried([&] { return file_calls().mkdir(in_progress_.c_str(), 0777); }) < 0) {
    storage_failure("make the folder", in_progress_, errno);
  }
}

AtomicFolder::~AtomicFolder() {
  if (!committed_) remove_path(in_progress_);
}

void AtomicFolder::write(const std::string& name, const Filler& fill) {
  OutputFile file(in_progress_ / name);
  fill(file);
  file.finish();
  entries_.push_back({name, file.bytes(), file.xxh3()});
}

void AtomicFolder::write(const std::string& name, std::string_view contents) {
  write(name, [&](OutputFile& file) {
    file.set_needed_bytes(contents.size());
    file.write(contents);
  });
}

void AtomicFolder::commit() {
  sync_folder(in_progress_);
  int result = rename_path(in_progress_, path_);
  const bool taken = result < 0 && (errno == ENOTEMPTY || errno == EEXIST);
  if (taken) result = exchange(in_progress_, path_);
  if (result < 0) storage_failure(taken ? "replace the existing" : "make the folder", path_, errno);
  committed_ = true;
  sync_folder(parent_of(path_));
  if (!taken) return;
  if (const int error = remove_path(in_progress_); error != 0) {
    storage_failure("remove the replaced", in_progress_, error);
  }
}

void remove_leftovers(const fs::path& folder) {
  std::error_code gone;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, gone)) {
    if (!is_leftover(entry.path().filename().string())) continue;
    if (const int error = remove_path(entry.path()); error != 0) {
      storage_failure("remove what an interrupted save left in", entry.path(), error);
    }
  }
}

}  // namespace farsight
