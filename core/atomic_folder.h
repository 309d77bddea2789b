// A folder of files that appears at once, whole and durable, or not at all: a checkpoint.
//
//   AtomicFolder folder("runs/a/step-00000100");     // writes into step-00000100.inprogress
//   folder.write("model.safetensors", [&](OutputFile& file) { write_safetensors(file, tensors); });
//   folder.write("manifest.json", manifest_of(folder.entries()));
//   folder.commit();                                 // from here on it is there, and durable
//   write_pointer("runs/a/latest", "step-00000100");
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.h"

namespace farsight {

class AtomicFolder {
 public:
  struct Entry {
    std::string name;
    std::uint64_t bytes = 0, xxh3 = 0;
  };

  /// Removes what a killed process left in `path`.inprogress, and makes it anew.
  explicit AtomicFolder(const std::filesystem::path& path);
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;
  /// Removes everything unless it was committed.
  ~AtomicFolder();

  /// Where the files are until commit().
  const std::filesystem::path& in_progress() const { return in_progress_; }
  void write(const std::string& name, const Filler& fill);
  void write(const std::string& name, std::string_view contents);
  /// What was written so far, for a manifest.
  const std::vector<Entry>& entries() const { return entries_; }
  /// Gives the folder its name. A folder that already has it is replaced at once and then removed.
  void commit();

 private:
  std::filesystem::path path_, in_progress_;
  std::vector<Entry> entries_;
  bool committed_ = false;
};

/// Removes the *.inprogress and *.tmp-* that killed processes left in a folder. For its one writer.
void remove_leftovers(const std::filesystem::path& folder);

}  // namespace farsight
