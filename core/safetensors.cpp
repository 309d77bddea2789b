#include "core/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "core/bounded_reader.h"
#include "core/half.h"
#include "core/json.h"

namespace farsight {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLargestHeader = 100'000'000;
constexpr std::size_t kLongestName = 1024;
constexpr std::size_t kHighestRank = 8;
constexpr std::string_view kMetadata = "__metadata__";

/// Every dtype of the format whose elements are whole bytes.
constexpr std::array<std::pair<std::string_view, std::uint64_t>, 17> kElementBytes = {{
    {"F64", 8},
    {"F32", 4},
    {"F16", 2},
    {"BF16", 2},
    {"I64", 8},
    {"I32", 4},
    {"I16", 2},
    {"I8", 1},
    {"U64", 8},
    {"U32", 4},
    {"U16", 2},
    {"U8", 1},
    {"BOOL", 1},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"F8_E8M0", 1},
    {"C64", 8},
}};

/// What people save by mistake under the name of a model: worth a sentence of its own.
std::string_view other_format(std::string_view beginning) {
  constexpr std::string_view blank = " \t\r\n\xEF\xBB\xBF";
  const std::string_view text =
      beginning.substr(std::min(beginning.find_first_not_of(blank), beginning.size()));
  if (text.starts_with('<')) return "; it looks like an HTML page: the download failed";
  if (text.starts_with("version https://git-lfs")) {
    return "; it is a Git LFS pointer: fetch the file itself with git lfs pull";
  }
  if (text.starts_with("PK\x03\x04")) return "; it is a zip archive, such as a PyTorch .bin or .pt";
  if (text.starts_with("\x80\x02") || text.starts_with("\x80\x04"))
    return "; it is a Python pickle";
  if (text.starts_with("GGUF")) return "; it is a GGUF model";
  if (text.starts_with("\x1f\x8b")) return "; it is compressed with gzip";
  if (text.starts_with("{")) return "; it is JSON text";
  return "";
}

/// tensor "NAME": a hostile name is shortened and escaped.
std::string tensor_called(std::string_view name) {
  return "tensor " + Json(name.substr(0, 80)).dump();
}

std::uint64_t element_bytes(const Json& dtype, const std::string& tensor) {
  const std::uint64_t bytes = farsight::element_bytes(dtype.as_string());
  if (bytes == 0) {
    dtype.refuse(tensor + ": unknown dtype " + Json(dtype.as_string().substr(0, 20)).dump());
  }
  return bytes;
}

StoredTensor parse_entry(const std::string& name, const Json& entry, const Place& place) {
  const std::string tensor = tensor_called(name);
  if (name.size() > kLongestName) {
    entry.refuse(fmt::format("{}: a name of {} bytes, at most {} are allowed", tensor, name.size(),
                             kLongestName));
  }
  if (name.find('\0') != std::string::npos) entry.refuse(tensor + ": a zero byte in the name");
  if (!entry.is_object()) entry.refuse(tensor + ": expected an object");
  entry.allow_only({"dtype", "shape", "data_offsets"});
  StoredTensor stored;
  stored.name = name;
  stored.dtype = entry.at("dtype").as_string();
  std::uint64_t bytes = 1;
  const Json::Array& sizes = entry.at("shape").elements();
  if (sizes.size() > kHighestRank) {
    entry.refuse(
        fmt::format("{}: rank {}, at most {} is allowed", tensor, sizes.size(), kHighestRank));
  }
  for (const Json& size : sizes) {
    bytes = checked_mul(bytes, size.as_unsigned(), place, "number of elements of " + tensor);
    // Shape counts in signed numbers, also where a later size of 0 makes the product small.
    if (!std::in_range<std::int64_t>(bytes) || !std::in_range<std::int64_t>(size.as_unsigned())) {
      entry.refuse(tensor + ": the number of elements overflows 63 bits");
    }
    stored.shape.push_back(static_cast<std::int64_t>(size.as_unsigned()));
  }
  bytes = checked_mul(bytes, element_bytes(entry.at("dtype"), tensor), place, "size of " + tensor);
  const Json& offsets = entry.at("data_offsets");
  if (offsets.elements().size() != 2) offsets.refuse(tensor + ": data_offsets must be two numbers");
  stored.begin = offsets.at(0).as_unsigned();
  stored.end = offsets.at(1).as_unsigned();
  if (stored.end < stored.begin || stored.end - stored.begin != bytes) {
    offsets.refuse(fmt::format("{}: data_offsets [{}, {}] are not the {} bytes of its shape",
                               tensor, stored.begin, stored.end, bytes));
  }
  return stored;
}

/// The data must be covered from 0 to its end: a hole could hide a second file.
void check_contiguous(std::vector<StoredTensor>& tensors, std::uint64_t data_begin,
                      std::uint64_t data_bytes, std::string_view file) {
  // An empty tensor sorts in front of the one that begins where it lies.
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const StoredTensor& a, const StoredTensor& b) {
                     return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
                   });
  std::uint64_t at = 0;
  for (StoredTensor& stored : tensors) {
    const Place place = {file, data_begin + std::min(at, data_bytes)};
    if (stored.begin != at) {
      refuse(place, "{} begins at {} of the data: {} {}", tensor_called(stored.name), stored.begin,
             stored.begin < at ? "it overlaps the one before, which ends at"
                               : "a hole behind the one before, which ends at",
             at);
    }
    if (stored.end > data_bytes) {
      refuse(place, "{} ends at {} of the data, the file holds only {} bytes: it is truncated",
             tensor_called(stored.name), stored.end, data_bytes);
    }
    at = stored.end;
    stored.begin += data_begin;
    stored.end += data_begin;
  }
  if (at != data_bytes) {
    refuse({file, data_begin + at}, "{} bytes follow the last tensor", data_bytes - at);
  }
}

}  // namespace

std::uint64_t element_bytes(std::string_view dtype) {
  const auto known = std::find_if(kElementBytes.begin(), kElementBytes.end(),
                                  [&](const auto& entry) { return entry.first == dtype; });
  return known == kElementBytes.end() ? 0 : known->second;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> beginning,
                                           std::uint64_t file_bytes, std::string_view file) {
  const std::string_view hint =
      other_format(text_of(beginning.first(std::min<std::size_t>(beginning.size(), 64))));
  BoundedReader reader(beginning, file);
  if (file_bytes < kLengthBytes) {
    refuse(reader.place(), "not a safetensors file: only {} bytes{}", file_bytes, hint);
  }
  const std::uint64_t length = reader.u64("length of the header");
  if (length > kLargestHeader || length > file_bytes - kLengthBytes) {
    refuse({file, 0},
           "not a safetensors file, or truncated: a header of {} bytes in a file of {}{}", length,
           file_bytes, hint);
  }
  const Place place = reader.place();
  const std::string_view text = text_of(reader.take(length, "header"));
  if (!text.starts_with('{')) refuse(place, "the header does not begin with {{");
  // Offsets in JSON errors count from the header's own beginning; +8 makes them the file's.
  const Json json = Json::parse(text, file, {}, kLengthBytes);
  SafetensorsHeader header;
  for (const auto& [name, entry] : json.members()) {
    if (name != kMetadata) {
      header.tensors.push_back(parse_entry(name, entry, place));
      continue;
    }
    for (const auto& [key, value] : entry.members()) {
      header.metadata.emplace(key, value.as_string());
    }
  }
  const std::uint64_t data_begin = kLengthBytes + length;
  check_contiguous(header.tensors, data_begin, file_bytes - data_begin, file);
  return header;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  std::vector<std::byte> beginning(std::min<std::uint64_t>(file_.bytes(), 64));
  file_.read_at(0, beginning);
  if (beginning.size() >= kLengthBytes) {
    const std::uint64_t length =
        BoundedReader(beginning, path.string()).u64("length of the header");
    // A length that cannot be right is left for the parser to refuse: nothing is allocated for it.
    if (length <= kLargestHeader && length <= file_.bytes() - kLengthBytes) {
      beginning.resize(kLengthBytes + length);
      file_.read_at(0, beginning);
    }
  }
  header_ = parse_safetensors_header(beginning, file_.bytes(), file_.path());
  for (const StoredTensor& stored : header_.tensors) {
    by_name_.emplace(stored.name, &stored);
  }
}

const StoredTensor* SafetensorsFile::find(std::string_view name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second;
}

Tensor SafetensorsFile::load(std::string_view name) const {
  const StoredTensor* stored = find(name);
  require(stored != nullptr, ExitCode::data, "{}: there is no {}", path(), tensor_called(name));
  return load_elements(*stored, path(),
                       [&](std::span<std::byte> out) { file_.read_at(stored->begin, out); });
}

Tensor load_elements(const StoredTensor& stored, std::string_view file,
                     const std::function<void(std::span<std::byte>)>& fill) {
  require(stored.shape.size() <= std::size_t{Shape::kMaxDims}, ExitCode::corrupt,
          "{}: {} has rank {}, at most {} can be loaded", file, tensor_called(stored.name),
          stored.shape.size(), Shape::kMaxDims);
  Shape shape;
  for (const std::int64_t size : stored.shape) {
    shape.dims[static_cast<std::size_t>(shape.n++)] = size;
  }
  const auto read = [&](DType dtype) {
    Tensor tensor = Tensor::empty(shape, dtype, Device::cpu, "loaded");
    fill({static_cast<std::byte*>(tensor.ptr()), static_cast<std::size_t>(tensor.bytes())});
    return tensor;
  };
  if (stored.dtype == "F64") return read(DType::f64);
  if (stored.dtype == "F32") return read(DType::f32);
  if (stored.dtype == "BF16") return read(DType::bf16);
  if (stored.dtype == "I32") return read(DType::i32);
  require(stored.dtype == "F16", ExitCode::corrupt,
          "{}: {} is {}; F64, F32, F16, BF16 and I32 can be loaded", file,
          tensor_called(stored.name), stored.dtype);
  const Tensor halves = read(DType::bf16);  // the same two bytes an element, read as half below
  Tensor floats = Tensor::empty(shape, DType::f32, Device::cpu, "loaded");
  std::transform(halves.data<bf16>(), halves.data<bf16>() + halves.elements(), floats.data<float>(),
                 [](bf16 half) { return from_half(half.bits); });
  return floats;
}

}  // namespace farsight
