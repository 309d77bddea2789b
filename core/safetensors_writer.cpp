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
void check_name(const std::string& name, std::set<std::string_view>& names) {
  constexpr std::size_t kLongestName = 1024;
  check(is_utf8(name) && name.find('\0') == std::string::npos && name.size() <= kLongestName,
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

std::vector<const NamedTensor*> in_file_order(std::span<const NamedTensor> tensors) {
  std::vector<const NamedTensor*> order;
  for (const NamedTensor& named : tensors) {
    order.push_back(&named);
  }
  std::sort(order.begin(), order.end(), [](const NamedTensor* a, const NamedTensor* b) {
    const std::int64_t a_size = stored_size(*a), b_size = stored_size(*b);
    return a_size != b_size ? a_size > b_size : a->name < b->name;
  });
  return order;
}

Json describe(const NamedTensor& named, std::uint64_t begin, std::uint64_t end) {
  const Tensor& tensor = named.tensor;
  const char* dtype = named.as_half ? "F16" : stored_name(tensor.dtype());
  Json entry = Json::object({{"dtype", dtype}, {"shape", Json::array()}});
  for (int i = 0; i < tensor.shape().n; i++) {
    entry["shape"].push_back(tensor.dim(i));
  }
  entry["data_offsets"] = Json::array({begin, end});
  return entry;
}

}  // namespace

void write_safetensors(OutputFile& file, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  Json header = Json::object();
  for (const auto& [key, value] : metadata) {
    check(is_utf8(key) && is_utf8(value), "safetensors: metadata '{}' is not UTF-8", key);
    header["__metadata__"][key] = value;
  }
  const std::vector<const NamedTensor*> order = in_file_order(tensors);
  std::set<std::string_view> names;
  std::uint64_t bytes = 0;
  for (const NamedTensor* named : order) {
    check_name(named->name, names);
    check(static_cast<bool>(named->tensor) && named->tensor.device() == Device::cpu,
          "safetensors: '{}' must be a tensor on the CPU", named->name);
    check(!named->as_half || named->tensor.dtype() == DType::f32,
          "safetensors: '{}' must be f32 to be written as F16", named->name);
    const std::uint64_t end =
        bytes + static_cast<std::uint64_t>(named->tensor.elements() * stored_size(*named));
    header[named->name] = describe(*named, bytes, end);
    bytes = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlign - 1) / kAlign * kAlign, ' ');
  std::string length;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    length += static_cast<char>(text.size() >> shift & 0xff);
  }
  file.set_needed_bytes(length.size() + text.size() + bytes);
  file.write(length + text);
  for (const NamedTensor* named : order) {
    const Tensor dense = named->tensor.contiguous();
    if (named->as_half) {
      const std::vector<std::uint16_t> halves = halves_of(dense);
      file.write(std::as_bytes(std::span(halves)));
      continue;
    }
    file.write(
        {static_cast<const std::byte*>(dense.ptr()), static_cast<std::size_t>(dense.bytes())});
  }
}

void save_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                      const Metadata& metadata) {
  write_file_atomically(path,
                        [&](OutputFile& file) { write_safetensors(file, tensors, metadata); });
}

}  // namespace farsight
