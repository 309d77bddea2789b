#include <algorithm>
#include <set>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/half.h"
#include "core/json.h"
#include "core/safetensors.h"

namespace farsight {
namespace {

constexpr std::size_t kAlign = 8;

const char* stored_name(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "F64";
    case DType::f32:
      return "F32";
    case DType::bf16:
      return "BF16";
    case DType::i32:
      return "I32";
  }
  return "?";
}

/// What we would refuse to read must not be written either.
void check_name(std::string_view name, std::set<std::string_view>& names) {
  constexpr std::size_t kLongestName = 1024;
  check(is_utf8(name) && name.find('\0') == std::string_view::npos && name.size() <= kLongestName,
        "safetensors: a name of {} bytes that is not plain UTF-8 of at most {}: '{}'", name.size(),
        kLongestName, name.substr(0, kLongestName));
  check(name != "__metadata__", "safetensors: a tensor must not be named __metadata__");
  check(names.insert(name).second, "safetensors: two tensors are named '{}'", name);
}

/// Bytes of an element.
std::int64_t stored_size(const NamedTensor& named) {
  return named.as_half ? 2 : size_of(named.tensor.dtype());
}

std::vector<std::uint16_t> halves_of(const Tensor& dense) {
  std::vector<std::uint16_t> halves;
  for (const float value : dense.span<float>()) {
    halves.push_back(to_half(value));
  }
  return halves;
}

/// What the header says of a tensor.
struct Description {
  std::string_view name;
  const char* dtype = nullptr;
  Shape shape;
  std::int64_t element_bytes = 0;
  std::size_t index = 0;  ///< among those that were given

  std::uint64_t bytes() const {
    return static_cast<std::uint64_t>(shape.elements() * element_bytes);
  }
};

/// Larger elements first, then names in order.
void sort(std::vector<Description>& tensors) {
  std::sort(tensors.begin(), tensors.end(), [](const Description& a, const Description& b) {
    return a.element_bytes != b.element_bytes ? a.element_bytes > b.element_bytes : a.name < b.name;
  });
}

/// Writes everything before the data, and returns it; told what the whole file will need.
std::string write_header(OutputFile& file, const std::vector<Description>& tensors,
                         const Metadata& metadata) {
  Json header = Json::object();
  for (const auto& [key, value] : metadata) {
    check(is_utf8(key) && is_utf8(value), "safetensors: metadata '{}' is not UTF-8", key);
    header["__metadata__"][key] = value;
  }
  std::set<std::string_view> names;
  std::uint64_t bytes = 0;
  for (const Description& tensor : tensors) {
    check_name(tensor.name, names);
    Json entry = Json::object({{"dtype", tensor.dtype}, {"shape", Json::array()}});
    for (int i = 0; i < tensor.shape.n; i++) {
      entry["shape"].push_back(tensor.shape[i]);
    }
    const std::uint64_t end = bytes + tensor.bytes();
    entry["data_offsets"] = Json::array({bytes, end});
    header[tensor.name] = std::move(entry);
    bytes = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlign - 1) / kAlign * kAlign, ' ');
  std::string all;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    all += static_cast<char>(text.size() >> shift & 0xff);
  }
  all += text;
  file.set_needed_bytes(all.size() + bytes);
  file.write(all);
  return all;
}

}  // namespace

void write_safetensors(OutputFile& file, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  std::vector<Description> order;
  for (const NamedTensor& named : tensors) {
    check(static_cast<bool>(named.tensor) && named.tensor.device() == Device::cpu,
          "safetensors: '{}' must be a tensor on the CPU", named.name);
    check(!named.as_half || named.tensor.dtype() == DType::f32,
          "safetensors: '{}' must be f32 to be written as F16", named.name);
    order.push_back({.name = named.name,
                     .dtype = named.as_half ? "F16" : stored_name(named.tensor.dtype()),
                     .shape = named.tensor.shape(),
                     .element_bytes = stored_size(named),
                     .index = order.size()});
  }
  sort(order);
  write_header(file, order, metadata);
  for (const Description& next : order) {
    const NamedTensor& named = tensors[next.index];
    const Tensor dense = named.tensor.contiguous();
    if (named.as_half) {
      const std::vector<std::uint16_t> halves = halves_of(dense);
      file.write(std::as_bytes(std::span(halves)));
      continue;
    }
    file.write(
        {static_cast<const std::byte*>(dense.ptr()), static_cast<std::size_t>(dense.bytes())});
  }
}

SafetensorsHashes write_safetensors(OutputFile& file, std::span<const TensorBytes> tensors,
                                    const Metadata& metadata) {
  std::vector<Description> order;
  for (const TensorBytes& tensor : tensors) {
    order.push_back({.name = tensor.name,
                     .dtype = stored_name(tensor.dtype),
                     .shape = tensor.shape,
                     .element_bytes = size_of(tensor.dtype),
                     .index = order.size()});
    check(tensor.bytes.size() == order.back().bytes(),
          "safetensors: '{}' of shape {} needs {} bytes, got {}", tensor.name, tensor.shape,
          order.back().bytes(), tensor.bytes.size());
  }
  sort(order);
  const std::string header = write_header(file, order, metadata);
  SafetensorsHashes hashes{.header = xxh3_64(bytes_of(header)), .tensors = {}};
  for (const Description& next : order) {
    const TensorBytes& tensor = tensors[next.index];
    hashes.tensors.emplace_back(tensor.name, xxh3_64(tensor.bytes));
    file.write(tensor.bytes);
  }
  return hashes;
}

void save_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                      const Metadata& metadata) {
  write_file_atomically(path,
                        [&](OutputFile& file) { write_safetensors(file, tensors, metadata); });
}

}  // namespace farsight
