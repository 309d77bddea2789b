// The weights of a model in whatever files they came: one file, or a folder as Hugging Face has it.
//
//   folder/model.safetensors                    or, in this order,
//   folder/model.safetensors.index.json         {"weight_map": {"NAME": "model-00001-of-2.safetensors"}}
//   folder/pytorch_model.bin, folder/pytorch_model.bin.index.json
//
// An index and its shards must agree both ways: every name in the shard it is said to be in, nothing
// in a shard that the index does not put there, and shards beside the index and nowhere else.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/safetensors.h"
#include "core/torch_file.h"

namespace farsight {

class WeightFiles {
 public:
  /// Throws Error(data) when a folder has none of these, Error(corrupt) naming file and tensor.
  explicit WeightFiles(const std::filesystem::path& path);

  /// Of the one file, or of the index.
  const std::string& path() const { return path_; }
  const std::vector<const StoredTensor*>& tensors() const { return tensors_; }
  /// Null when there is no such tensor.
  const StoredTensor* find(std::string_view name) const;
  /// The file that a tensor is in.
  const std::string& file_of(std::string_view name) const;
  /// As SafetensorsFile::load.
  Tensor load(std::string_view name) const;

 private:
  using File = std::variant<SafetensorsFile, TorchFile>;

  void add(const std::filesystem::path& path);
  void add_shards(const std::filesystem::path& index);

  std::string path_;
  std::vector<std::unique_ptr<File>> files_;
  std::vector<const StoredTensor*> tensors_;
  std::map<std::string_view, std::pair<const StoredTensor*, const File*>> by_name_;
};

}  // namespace farsight
