// Weights as torch.save writes them (.pth, .pt, .bin): a zip archive of a pickle and storages.
//
//   ROOT/data.pkl        names, shapes and strides (core/torch_pickle.h)
//   ROOT/byteorder       "little"; absent before PyTorch 2.1
//   ROOT/data/KEY        the bytes of a storage
//
// The same questions as of a safetensors file, so that either can be loaded. Every number is checked
// before the first tensor is read: a view must lie within its storage, and all tensors together
// must not be many times the file, as strides of 0 could make them.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/safetensors.h"
#include "core/torch_pickle.h"
#include "core/zip_archive.h"

namespace farsight {

class TorchFile {
 public:
  /// Throws Error(corrupt) naming the file, the byte and the tensor.
  explicit TorchFile(const std::filesystem::path& path);

  const std::string& path() const { return archive_.file().path(); }
  /// `begin` and `end`: the bytes of the file that the tensor's elements lie in.
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  /// Null when there is no such tensor.
  const StoredTensor* find(std::string_view name) const;
  /// As SafetensorsFile::load; a strided view comes dense.
  Tensor load(std::string_view name) const;

 private:
  void check(const PickledTensor& pickled, const std::string& root);

  ZipArchive archive_;
  std::vector<StoredTensor> tensors_;
  std::vector<PickledTensor> pickled_;  ///< parallel to tensors_
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

}  // namespace farsight
