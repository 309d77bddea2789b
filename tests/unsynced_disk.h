// A disk that loses, when the machine dies, what nobody asked it to keep: contents of files since
// their last fsync, and names made, changed or removed since their folder's.
//
// It is the real one, with a memory of what to undo: names are undone from the last backwards, as a
// journal would, up to a random one; then files lose a random part of what was not synced.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "core/file_calls.h"

namespace farsight {

class UnsyncedDisk {
 public:
  /// `keeps`: a folder on the same disk, for what must not be gone yet.
  explicit UnsyncedDisk(std::filesystem::path keeps) : keeps_(std::move(keeps)) {
    FileCalls& calls = file_calls();
    real_ = calls;
    calls.open = [this](const char* path, int flags, mode_t mode) {
      const bool fresh = (flags & O_CREAT) != 0 && !std::filesystem::exists(path);
      const int fd = real_.open(path, flags, mode);
      if (fd >= 0) paths_[fd] = path;
      if (fd >= 0 && fresh) {
        changes_.push_back({Kind::create, path, {}, {}});
        synced_[path] = 0;
      }
      return fd;
    };
    calls.fsync = [this](int fd) {  // the disk itself need not hear of it
      sync(paths_[fd]);
      return 0;
    };
    calls.rename = [this](const char* from, const char* to) {
      const std::filesystem::path kept = keep(to);
      const int result = real_.rename(from, to);
      if (result == 0) changed(Kind::rename, from, to, kept);
      return result;
    };
    calls.exchange = [this](const char* a, const char* b) {
      const int result = real_.exchange(a, b);
      if (result == 0) changed(Kind::exchange, a, b, {});
      return result;
    };
    calls.unlink = [this](const char* path) {
      const std::filesystem::path kept = keep(path);
      const int result = real_.unlink(path);
      if (result == 0) changed(Kind::remove, path, "", kept);
      return result;
    };
    calls.mkdir = [this](const char* path, mode_t mode) {
      const int result = real_.mkdir(path, mode);
      if (result == 0) changed(Kind::make_folder, path, "", {});
      return result;
    };
    calls.rmdir = [this](const char* path) {
      const int result = real_.rmdir(path);
      if (result == 0) changed(Kind::remove_folder, path, "", {});
      return result;
    };
  }
  UnsyncedDisk(const UnsyncedDisk&) = delete;
  UnsyncedDisk& operator=(const UnsyncedDisk&) = delete;

  /// The machine dies.
  void lose(std::uint32_t seed) {
    std::mt19937 random(seed);
    const std::size_t undone = random() % (changes_.size() + 1);
    for (std::size_t i = 0; i < undone; i++) {
      undo(changes_[changes_.size() - 1 - i]);
    }
    for (const auto& [path, bytes] : synced_) {
      std::error_code none;
      const std::uintmax_t size = std::filesystem::file_size(path, none);
      if (none || size <= bytes) continue;
      std::filesystem::resize_file(path, bytes + random() % (size - bytes + 1), none);
    }
  }

 private:
  enum class Kind : std::uint8_t { create, rename, exchange, remove, make_folder, remove_folder };
  struct Change {
    Kind kind = Kind::create;
    std::filesystem::path path, to;
    std::filesystem::path kept;  ///< what the name held before; or empty
  };

  /// A second name for what a change is about to take the name from.
  std::filesystem::path keep(const std::filesystem::path& path) {
    std::error_code none;
    if (!std::filesystem::is_regular_file(path, none)) return {};
    const std::filesystem::path kept = keeps_ / std::to_string(kept_++);
    std::filesystem::create_hard_link(path, kept, none);
    return none ? std::filesystem::path() : kept;
  }

  void changed(Kind kind, const char* path, const char* to, const std::filesystem::path& kept) {
    changes_.push_back({kind, path, to, kept});
    if (kind != Kind::rename) return;
    std::map<std::filesystem::path, std::uintmax_t> moved;
    for (const auto& [name, bytes] : synced_) {  // a file, or those in a folder
      const std::string text = name.string(), from = path;
      const bool inside = text == from || text.starts_with(from + "/");
      moved[inside ? std::filesystem::path(to + text.substr(from.size())) : name] = bytes;
    }
    synced_ = std::move(moved);
  }

  void sync(const std::filesystem::path& path) {
    std::error_code none;
    if (std::filesystem::is_directory(path, none)) {
      std::erase_if(changes_, [&](const Change& change) {
        if (parent_of(change.path) != path) return false;
        std::filesystem::remove(change.kept, none);
        return true;
      });
    } else {
      synced_[path] = std::filesystem::file_size(path, none);
    }
  }

  void undo(const Change& change) {
    std::error_code none;
    switch (change.kind) {
      case Kind::create:
        std::filesystem::remove(change.path, none);
        break;
      case Kind::rename:
        std::filesystem::rename(change.to, change.path, none);
        if (!change.kept.empty()) std::filesystem::rename(change.kept, change.to, none);
        break;
      case Kind::exchange:
        real_.exchange(change.path.c_str(), change.to.c_str());
        break;
      case Kind::remove:
        if (!change.kept.empty()) std::filesystem::rename(change.kept, change.path, none);
        break;
      case Kind::make_folder:
        std::filesystem::remove_all(change.path, none);
        break;
      case Kind::remove_folder:
        std::filesystem::create_directory(change.path, none);
        break;
    }
  }

  std::filesystem::path keeps_;
  FileCalls real_;
  std::map<int, std::filesystem::path> paths_;              // of open files
  std::vector<Change> changes_;                             // that no sync has made durable
  std::map<std::filesystem::path, std::uintmax_t> synced_;  // bytes that are
  int kept_ = 0;
};

}  // namespace farsight
