#include "core/weight_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "core/json.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

std::string in_quotes(std::string_view text) {
  return Json(text.substr(0, 80)).dump();
}

/// By its first bytes, for a .bin may be anything: torch's, or else what the safetensors reader
/// finds words for.
bool is_torch_file(const fs::path& path) {
  if (path.extension() == ".safetensors") return false;
  const InputFile file(path);
  std::array<std::byte, 2> beginning = {};
  file.read_at(0, std::span<std::byte>(beginning).first(std::min<std::size_t>(file.bytes(), 2)));
  return text_of(beginning) == "PK" || text_of(beginning) == "\x80\x02";
}

}  // namespace

WeightFiles::WeightFiles(const fs::path& path) : path_(path.string()) {
  if (!fs::is_directory(path)) {
    add(path);
    return;
  }
  for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
    const fs::path whole = path / name, index = path / (std::string(name) + ".index.json");
    if (fs::exists(whole)) {
      path_ = whole.string();
      add(whole);
      return;
    }
    if (fs::exists(index)) {
      path_ = index.string();
      add_shards(index);
      return;
    }
  }
  fail(ExitCode::data,
       "'{}' has no weights: neither model.safetensors nor pytorch_model.bin, nor an index of "
       "either",
       path_);
}

void WeightFiles::add(const fs::path& path) {
  if (is_torch_file(path)) {
    files_.push_back(std::make_unique<File>(std::in_place_type<TorchFile>, path));
  } else {
    files_.push_back(std::make_unique<File>(std::in_place_type<SafetensorsFile>, path));
  }
  const File* file = files_.back().get();
  std::visit(
      [&](const auto& open) {
        for (const StoredTensor& stored : open.tensors()) {
          const auto [at, fresh] = by_name_.emplace(stored.name, std::pair(&stored, file));
          require(fresh, ExitCode::corrupt, "{}: tensor {} is already in {}", open.path(),
                  in_quotes(stored.name), file_of(stored.name));
          tensors_.push_back(&stored);
        }
      },
      *file);
}

void WeightFiles::add_shards(const fs::path& index) {
  const Json json = read_json(index);
  const Json& map = json.at("weight_map");
  std::set<std::string> shards;
  for (const auto& [name, file] : map.members()) {
    const std::string& shard = file.as_string();
    // A plain name: an index must not lead to files elsewhere.
    if (shard.empty() || shard.front() == '.' || shard.find_first_of("/\\:") != std::string::npos ||
        shard.find('\0') != std::string::npos || shard.size() > 255) {
      file.refuse(fmt::format("tensor {}: the shard {} is not the plain name of a file",
                              in_quotes(name), in_quotes(shard)));
    }
    shards.insert(shard);
  }
  for (const std::string& shard : shards) {
    require(fs::exists(index.parent_path() / shard), ExitCode::corrupt,
            "{}: its shard {} is missing", index.string(), in_quotes(shard));
    add(index.parent_path() / shard);
  }
  for (const auto& [name, file] : map.members()) {
    const auto at = by_name_.find(name);
    if (at == by_name_.end() || fs::path(file_of(name)).filename().string() != file.as_string()) {
      file.refuse(fmt::format("tensor {} is not in the shard {}", in_quotes(name),
                              in_quotes(file.as_string())));
    }
  }
  for (const StoredTensor* stored : tensors_) {
    require(map.contains(stored->name), ExitCode::corrupt, "{}: tensor {} is not in the index {}",
            file_of(stored->name), in_quotes(stored->name), index.filename().string());
  }
}

const StoredTensor* WeightFiles::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second.first;
}

const std::string& WeightFiles::file_of(std::string_view name) const {
  const auto at = by_name_.find(name);
  if (at == by_name_.end()) return path_;
  return std::visit([](const auto& file) -> const std::string& { return file.path(); },
                    *at->second.second);
}

Tensor WeightFiles::load(std::string_view name) const {
  const auto at = by_name_.find(name);
  require(at != by_name_.end(), ExitCode::data, "{}: there is no tensor {}", path_,
          in_quotes(name));
  return std::visit([&](const auto& file) { return file.load(name); }, *at->second.second);
}

}  // namespace farsight
