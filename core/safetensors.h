// safetensors: named tensors in a file that holds no code.
//
//   u64 little endian: n | n bytes of JSON {"name": {"dtype", "shape", "data_offsets"}, ...} | data
//
// The reader takes a file for hostile until every number of its header was checked: at most 100 MB
// of header, known dtypes, rank <= 8, sizes equal to shape x dtype computed without wrapping, data
// from 0 to the end of the file without hole or overlap, no name twice. Source: the format's own
// README, "Format" (github.com/huggingface/safetensors).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.h"
#include "core/tensor.h"

namespace farsight {

/// What `__metadata__` holds.
using Metadata = std::map<std::string, std::string>;

struct NamedTensor {
  std::string name;
  Tensor tensor;
  bool as_half = false;  ///< an f32 tensor that is written as F16
};

/// Streams the tensors (CPU; a strided view is made dense, one at a time) into `file`. Larger
/// element types come first, then names in order: every tensor is aligned to its elements, and the
/// same tensors are the same bytes in whatever order they were given.
void write_safetensors(OutputFile& file, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = {});

/// A tensor in memory as its file will hold it; whoever has the bytes keeps them.
struct TensorBytes {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::span<const std::byte> bytes;
};
/// XXH3-64 of every part of a file: together they cover each of its bytes.
struct SafetensorsHashes {
  std::uint64_t header = 0;  ///< of all that stands before the data
  std::vector<std::pair<std::string, std::uint64_t>> tensors;  ///< in the order of their bytes
};
/// The same file as above.
SafetensorsHashes write_safetensors(OutputFile& file, std::span<const TensorBytes> tensors,
                                    const Metadata& metadata = {});

/// The first through write_file_atomically.
void save_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                      const Metadata& metadata = {});

/// One tensor of a file, as its header describes it.
struct StoredTensor {
  std::string name;
  std::string dtype;                 ///< as written in the file: "F32"
  std::vector<std::int64_t> shape;   ///< up to 8 sizes
  std::uint64_t begin = 0, end = 0;  ///< bytes of the file
};

/// Bytes of an element of a stored type, "F32"; 0 for one that is unknown.
std::uint64_t element_bytes(std::string_view dtype);

/// A tensor on the CPU whose elements, dense and as stored, `fill` writes: F64, F32, BF16 and I32 as
/// they are, F16 as f32. Error(corrupt) naming `file` and the tensor for other types and ranks above
/// Shape::kMaxDims.
Tensor load_elements(const StoredTensor& stored, std::string_view file,
                     const std::function<void(std::span<std::byte>)>& fill);

struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;  ///< in the order of their bytes
  Metadata metadata;
};

/// Checks the first bytes of a file of `file_bytes`: the length and the whole header.
/// Throws Error(corrupt) naming `file`, the byte and the tensor.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> beginning,
                                           std::uint64_t file_bytes, std::string_view file);

class SafetensorsFile {
 public:
  /// Reads and checks the header; the data is left on disk.
  explicit SafetensorsFile(const std::filesystem::path& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<StoredTensor>& tensors() const { return header_.tensors; }
  const Metadata& metadata() const { return header_.metadata; }
  /// Null when there is no such tensor.
  const StoredTensor* find(std::string_view name) const;
  /// A copy on the CPU, as load_elements makes it. Any number of threads.
  Tensor load(std::string_view name) const;

 private:
  InputFile file_;
  SafetensorsHeader header_;
  std::map<std::string_view, const StoredTensor*> by_name_;
};

}  // namespace farsight
