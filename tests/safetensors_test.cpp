#include "core/safetensors.h"

#include <doctest/doctest.h>

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/check.h"
#include "tests/safetensors_bytes.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

Tensor counting(DType dtype, const Shape& shape) {
  Tensor t = Tensor::zeros(shape, dtype);
  auto* bytes = static_cast<unsigned char*>(t.ptr());
  for (std::int64_t i = 0; i < t.bytes(); i++) {
    bytes[i] = static_cast<unsigned char>(i * 37 + 11);
  }
  return t;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         std::memcmp(a.ptr(), b.ptr(), static_cast<std::size_t>(a.bytes())) == 0;
}

}  // namespace

TEST_CASE("safetensors: every type, rank, emptiness and stride comes back bit for bit") {
  const TemporaryFolder folder;
  const Tensor wide = counting(DType::f32, {3, 7});
  const std::vector<NamedTensor> tensors = {
      {"f64", counting(DType::f64, {2, 3})},
      {"f32 5d", counting(DType::f32, {1, 2, 3, 1, 5})},
      {"bf16 odd", counting(DType::bf16, {7})},
      {"i32", counting(DType::i32, {4})},
      {"scalar", counting(DType::f32, {})},
      {"empty", counting(DType::bf16, {0})},
      {"empty too", counting(DType::f64, {3, 0, 2})},
      {"columns", wide.columns(2, 3)},
      {"rows", wide.range(1, 2)},
      {"gr\xc3\xbc\xc3\x9f \"quoted\"\n", counting(DType::f32, {1})},
  };
  save_safetensors(folder / "m", tensors, {{"format", "pt"}, {"note", "a\nb"}});
  const SafetensorsFile file(folder / "m");
  CHECK(file.tensors().size() == tensors.size());
  CHECK(file.metadata() == Metadata{{"format", "pt"}, {"note", "a\nb"}});
  for (const NamedTensor& named : tensors) {
    CAPTURE(named.name);
    CHECK(same(file.load(named.name), named.tensor.contiguous()));
    const StoredTensor* stored = file.find(named.name);
    REQUIRE(stored != nullptr);
    CHECK(stored->begin % static_cast<std::uint64_t>(size_of(named.tensor.dtype())) == 0);
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE(
    "safetensors: the same tensors are the same bytes in any order, and the bytes are the "
    "format's") {
  const TemporaryFolder folder;
  const NamedTensor a = {"a", Tensor::from<float>(std::vector<float>{1.0f}, {1})};
  const NamedTensor b = {"b", counting(DType::f64, {1})};
  save_safetensors(folder / "ab", std::vector{a, b});
  save_safetensors(folder / "ba", std::vector{b, a});
  CHECK(read_plainly(folder / "ab") == read_plainly(folder / "ba"));
  save_safetensors(folder / "a", std::vector{a}, {{"k", "v"}});
  const std::string header =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  CHECK(read_plainly(folder / "a") == file_of(padded, std::string("\0\0\x80\x3f", 4)));
  save_safetensors(folder / "none", std::vector<NamedTensor>{});
  CHECK(SafetensorsFile(folder / "none").tensors().empty());
}

TEST_CASE("safetensors: what could not be read back is not written, and the old file stays") {
  const TemporaryFolder folder;
  write_plainly(folder / "m", "old");
  const Tensor t = counting(DType::f32, {1});
  const std::vector<std::vector<NamedTensor>> bad = {
      {{"a", t}, {"a", t}},
      {{"__metadata__", t}},
      {{std::string("a\0b", 3), t}},
      {{"\xff", t}},
      {{std::string(1025, 'x'), t}},
      {{"a", Tensor()}},
      {{"a", Tensor::empty({1}, DType::f32, Device::meta)}},
  };
  for (const auto& tensors : bad) {
    CHECK_THROWS_AS(save_safetensors(folder / "m", tensors), Error);
    CHECK(read_plainly(folder / "m") == "old");
    CHECK(folder.entries() == 1);
  }
}

TEST_CASE("safetensors: F16 is read exactly as f32, other types are listed and refused by name") {
  const TemporaryFolder folder;
  std::string header =
      R"({"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]},)"
      R"("r6":{"dtype":"F32","shape":[1,1,1,1,1,1],"data_offsets":[131072,131076]})";
  std::uint64_t at = 131076;
  const std::vector<std::pair<std::string, std::uint64_t>> others = {
      {"I64", 8}, {"U8", 1}, {"BOOL", 1}, {"U16", 2}, {"C64", 8}, {"F8_E4M3", 1}};
  for (const auto& [type, size] : others) {
    header += fmt::format(R"(,"{}":{{"dtype":"{}","shape":[],"data_offsets":[{},{}]}})", type, type,
                          at, at + size);
    at += size;
  }
  std::string data;
  for (unsigned half = 0; half < 65536; half++) {
    data += static_cast<char>(half & 0xff);
    data += static_cast<char>(half >> 8);
  }
  data.resize(at, 'x');
  write_plainly(folder / "m", file_of(header + "}", data));
  const SafetensorsFile file(folder / "m");
  const Tensor floats = file.load("h");
  REQUIRE(floats.dtype() == DType::f32);
  int wrong = 0;
  for (unsigned half = 0; half < 65536; half++) {
    const int exponent = static_cast<int>(half >> 10 & 31),
              fraction = static_cast<int>(half & 1023);
    double expected =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31) expected = fraction == 0 ? HUGE_VAL : NAN;
    const double got = static_cast<double>(floats.data<float>()[half]);
    const bool equal = std::isnan(expected) ? std::isnan(got) : std::fabs(got) == expected;
    wrong += !(equal && std::signbit(got) == (half >= 32768));
  }
  CHECK(wrong == 0);
  for (const auto& other : others) {
    CHECK(mentions(error_of([&] { file.load(other.first); }),
                   "tensor \"" + other.first + "\" is " + other.first));
  }
  CHECK(mentions(error_of([&] { file.load("r6"); }), "tensor \"r6\" has rank 6, at most 5"));
  CHECK(mentions(error_of([&] { file.load("absent"); }), "there is no tensor \"absent\""));
}

TEST_CASE("safetensors: a file that shrinks while it is open is noticed") {
  const TemporaryFolder folder;
  write_plainly(folder / "m", kSmall);
  const SafetensorsFile file(folder / "m");
  CHECK(
      same(file.load("a"), Tensor::from<float>(std::vector<float>{std::bit_cast<float>(0x34333231),
                                                                  std::bit_cast<float>(0x38373635)},
                                               {2})));
  std::filesystem::resize_file(folder / "m", kSmall.size() - 1);
  CHECK(mentions(error_of([&] { file.load("a"); }), "the file ends here, 1 more bytes"));
}

}  // namespace farsight
