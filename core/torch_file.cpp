#include "core/torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/json.h"

namespace farsight {
namespace {

constexpr std::uint64_t kLargestPickle = 100'000'000;
/// Tied weights are saved once and named twice; more than this is no model.
constexpr std::uint64_t kMostSharing = 8;

std::string tensor_called(std::string_view name) {
  return "tensor " + Json(name.substr(0, 80)).dump();
}

bool is_dense(const PickledTensor& tensor) {
  std::uint64_t expected = 1;
  for (std::size_t d = tensor.shape.size(); d-- > 0;) {
    if (tensor.shape[d] != 1 && tensor.strides[d] != expected) return false;
    expected *= tensor.shape[d];
  }
  return true;
}

/// The path itself. Before PyTorch 1.6 torch.save wrote a row of pickles.
const std::filesystem::path& refuse_old_format(const std::filesystem::path& path) {
  const InputFile file(path);
  std::array<std::byte, 2> beginning = {};
  file.read_at(0, std::span(beginning).first(std::min<std::size_t>(file.bytes(), 2)));
  if (text_of(beginning) == "\x80\x02") {
    refuse({file.path(), 0},
           "a bare pickle, as torch.save wrote before PyTorch 1.6: load it and "
           "save it again with a newer one");
  }
  return path;
}

/// out[i] = window[sum of index x stride], the last index fastest; elements of `width` bytes.
void gather(const PickledTensor& tensor, std::span<const std::byte> window, std::size_t width,
            std::span<std::byte> out) {
  const std::size_t rank = tensor.shape.size();
  std::vector<std::uint64_t> index(rank, 0);
  std::uint64_t at = 0;
  for (std::size_t to = 0; to < out.size(); to += width) {
    std::memcpy(out.data() + to, window.subspan(at * width, width).data(), width);
    for (std::size_t d = rank; d-- > 0;) {
      at += tensor.strides[d];
      if (++index[d] < tensor.shape[d]) break;
      at -= tensor.strides[d] * tensor.shape[d];
      index[d] = 0;
    }
  }
}

}  // namespace

TorchFile::TorchFile(const std::filesystem::path& path) : archive_(refuse_old_format(path)) {
  const InputFile& file = archive_.file();
  const ZipEntry* pickle = nullptr;
  for (const ZipEntry& entry : archive_.entries()) {
    if (!entry.name.ends_with("/data.pkl")) continue;
    if (pickle != nullptr) refuse({file.path(), entry.begin}, "a second data.pkl");
    pickle = &entry;
  }
  if (pickle == nullptr) {
    refuse({file.path(), 0}, "a zip archive without data.pkl: torch.save did not write it");
  }
  const std::string root = pickle->name.substr(0, pickle->name.size() - 8);
  if (const ZipEntry* order = archive_.find(root + "byteorder")) {
    if (text_of(archive_.read(*order, 16)) != "little") {
      refuse({file.path(), order->begin}, "the tensors are not little endian");
    }
  }
  pickled_ = parse_torch_pickle(archive_.read(*pickle, kLargestPickle), file.path(), pickle->begin);
  const Place place = {file.path(), pickle->begin};
  std::uint64_t all = 0;
  for (const PickledTensor& tensor : pickled_) {
    check(tensor, root);
    by_name_.emplace(tensor.name, by_name_.size());
    std::uint64_t bytes = element_bytes(tensor.dtype);
    for (const std::uint64_t size : tensor.shape) {
      bytes *= size;
    }
    all = checked_add(all, bytes, place, "size of all tensors");
  }
  if (all / kMostSharing > file.bytes()) {
    refuse(place, "the tensors are {} bytes in a file of {}", all, file.bytes());
  }
}

/// Places the tensor within the file, after all products were found to fit.
void TorchFile::check(const PickledTensor& tensor, const std::string& root) {
  const std::string called = tensor_called(tensor.name);
  const std::string& path = archive_.file().path();
  const ZipEntry* storage = archive_.find(root + "data/" + tensor.storage);
  if (storage == nullptr) {
    refuse({path, 0}, "{}: its storage {} is not in the archive", called,
           Json(std::string_view(tensor.storage).substr(0, 80)).dump());
  }
  const Place place = {path, storage->begin};
  const std::uint64_t width = element_bytes(tensor.dtype);
  if (checked_mul(tensor.storage_elements, width, place, "size of the storage") != storage->bytes) {
    refuse(place, "{}: its storage is {} bytes, expected {} elements of {}", called, storage->bytes,
           tensor.storage_elements, tensor.dtype);
  }
  StoredTensor stored{.name = tensor.name, .dtype = tensor.dtype, .shape = {}};
  std::uint64_t elements = 1, last = tensor.offset;
  for (std::size_t d = 0; d < tensor.shape.size(); d++) {
    const std::uint64_t size = tensor.shape[d];
    elements = checked_mul(elements, size, place, "number of elements of " + called);
    if (!std::in_range<std::int64_t>(size)) refuse(place, "{}: a size overflows 63 bits", called);
    stored.shape.push_back(static_cast<std::int64_t>(size));
    if (size == 0) continue;
    last = checked_add(last, checked_mul(size - 1, tensor.strides[d], place, "extent of " + called),
                       place, "extent of " + called);
  }
  if (elements > 0 && last >= tensor.storage_elements) {
    refuse(place, "{} reaches element {} of a storage of {}", called, last,
           tensor.storage_elements);
  }
  if (elements > tensor.storage_elements) {
    refuse(place, "{} has {} elements, its storage only {}", called, elements,
           tensor.storage_elements);
  }
  stored.begin = storage->begin + (elements > 0 ? tensor.offset * width : 0);
  stored.end = elements > 0 ? storage->begin + (last + 1) * width : stored.begin;
  tensors_.push_back(stored);
}

const StoredTensor* TorchFile::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : &tensors_[at->second];
}

Tensor TorchFile::load(std::string_view name) const {
  const StoredTensor* stored = find(name);
  require(stored != nullptr, ExitCode::data, "{}: there is no {}", path(), tensor_called(name));
  const PickledTensor& tensor = pickled_[static_cast<std::size_t>(stored - tensors_.data())];
  return load_elements(*stored, path(), [&](std::span<std::byte> out) {
    if (is_dense(tensor)) return archive_.file().read_at(stored->begin, out);
    std::vector<std::byte> window(stored->end - stored->begin);
    archive_.file().read_at(stored->begin, window);
    gather(tensor, window, element_bytes(tensor.dtype), out);
  });
}

}  // namespace farsight
