// manifest.json of a checkpoint: what every byte of its files was when they were written.
//
//   {"format": "farsight-checkpoint-2", "step": 1000, "version": "0.1.0 ...",
//    "files": {"state.json": {"bytes": 210, "xxh3": "..."},
//              "model.safetensors": {"bytes": ..., "xxh3": "...", "header": "...",
//                                    "tensors": {"backbone.norm_f.weight": "...", ...}}, ...},
//    "xxh3": "..."}            of the text above it, without itself
//
// Hashes are XXH3-64 (core/hash.h). A safetensors file has one for what stands before its data and
// one for each tensor, so that a changed bit is named by file and tensor.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "core/safetensors.h"

namespace farsight {

struct StoredFile {
  std::string name;
  std::uint64_t bytes = 0, xxh3 = 0;
  std::optional<SafetensorsHashes> parts{};
};

std::string manifest_text(std::int64_t step, const std::vector<StoredFile>& files);

/// Whether the files are read by all threads of the loops, or by the calling one alone, as beside a
/// computation.
enum class Readers : std::uint8_t { all_threads, this_thread };

/// Reads every file that the manifest of `folder` names. Throws Error(corrupt) naming file and tensor
/// where a byte is not what it was, or a file is missing; Error(data) if there is no such folder. A
/// folder without a manifest (weights from elsewhere) has nothing to compare with.
void verify_checkpoint(const std::filesystem::path& folder, Readers readers = Readers::all_threads);

}  // namespace farsight
