// Files that somebody else wrote, and meant no good.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "core/bounded_reader.h"
#include "core/check.h"
#include "core/philox.h"
#include "core/safetensors.h"
#include "tests/safetensors_bytes.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

std::string refusal(const std::string& file) {
  ExitCode code = ExitCode::ok;
  const std::string message =
      error_of([&] { parse_safetensors_header(bytes_of(file), file.size(), "m.st"); }, &code);
  if (!message.empty()) CHECK(code == ExitCode::corrupt);
  return message;
}

}  // namespace

TEST_CASE("safetensors: handcrafted bad files are refused in the right words") {
  const auto one = [](const std::string& entry, const std::string& data = "12345678") {
    return file_of("{\"a\":" + entry + "}", data);
  };
  const auto shaped = [&](const std::string& shape, const std::string& offsets,
                          const std::string& type = "F32") {
    return one("{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets +
               "}");
  };
  const std::string a = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  const std::string b = R"({"dtype":"F32","shape":[1],"data_offsets":[4,8]})";
  const std::string gap = R"({"dtype":"U8","shape":[3],"data_offsets":[5,8]})";
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"", "only 0 bytes"},
      {"1234567", "only 7 bytes"},
      {file_of(""), "does not begin with {"},
      {file_of("{}", "", 3), "header of 3 bytes in a file of 10"},
      {file_of("{}", "", 100'000'001), "header of 100000001 bytes"},
      {file_of("{}", "", std::int64_t{1} << 62), "header of 4611686018427387904 bytes"},
      {std::string(8, '\xff') + "{}", "header of 18446744073709551615 bytes"},
      {"<!DOCTYPE html><html><body>404</body></html>", "HTML page"},
      {"\n  <html>", "HTML page"},
      {"PK\x03\x04" + std::string(40, 'z'), "zip archive"},
      {"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"},
      {"GGUF" + std::string(40, '\x03'), "GGUF"},
      {"\x80\x02}q\x01 and so on", "pickle"},
      {"{\"architectures\": [\"GPT\"]}", "JSON text"},
      {file_of(" {}"), "does not begin with {"},
      {file_of("[]"), "does not begin with {"},
      {file_of("{}x"), "not valid JSON"},
      {file_of(std::string("{}\0\0\0", 5)), "zero byte"},
      {file_of("{\"\xff\":{}}"), "not valid JSON"},
      {file_of("{\"a\":" + std::string(100, '[')), "deeper than 64"},
      {file_of("{}", "12"), "2 bytes follow the last tensor (byte 10)"},
      {one("3"), "expected an object"},
      {one("{}"), "no 'dtype'"},
      {one(R"({"dtype":"F32","shape":[2]})"), "no 'data_offsets'"},
      {one(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1})"), "unknown key \"x\""},
      {one(R"({"dtype":7,"shape":[2],"data_offsets":[0,8]})"), "expected a string"},
      {shaped("[2]", "[0,8]", "F31"), "tensor \"a\": unknown dtype \"F31\""},
      {shaped("[2]", "[0,8]", "F4"), "unknown dtype"},
      {shaped("2", "[0,8]"), "expected an array"},
      {shaped("[-2]", "[0,8]"), "not negative, got the number -2"},
      {shaped("[2.0]", "[0,8]"), "whole number"},
      {shaped("[\"2\"]", "[0,8]"), "whole number"},
      {shaped("[18446744073709551616]", "[0,8]"), "whole number"},
      {shaped("[4294967296,4294967296]", "[0,0]"), "overflows 64 bits"},
      {shaped("[9223372036854775808,0]", "[0,0]"), "overflows 63 bits"},
      {shaped("[4611686018427387904]", "[0,0]"), "size of tensor \"a\" overflows"},
      {shaped("[1,1,1,1,1,1,1,1,2]", "[0,8]"), "rank 9, at most 8"},
      {shaped("[2]", "[0]"), "must be two numbers"},
      {shaped("[2]", "[0,8,8]"), "must be two numbers"},
      {shaped("[2]", "[8,0]"), "are not the 8 bytes"},
      {shaped("[2]", "[0,4]"), "[0, 4] are not the 8 bytes"},
      {shaped("[1]", "[4,8]"), "a hole"},
      {shaped("[0]", "[3,3]"), "a hole"},
      {shaped("[1]", "[0,4]"), "4 bytes follow the last tensor"},
      {shaped("[4]", "[0,16]"), "holds only 8 bytes: it is truncated"},
      {shaped("[2]", "[18446744073709551608,18446744073709551615]", "I32"), "not the 8 bytes"},
      {file_of("{\"a\":" + a + ",\"b\":" + a + "}", "1234"), "overlaps"},
      {file_of("{\"a\":" + a + ",\"c\":" + gap + "}", "12345678"), "a hole"},
      {file_of("{\"a\":" + a + ",\"a\":" + b + "}", "12345678"), "\"a\" appears twice"},
      {file_of("{\"a\":" + a + ",\"\\u0061\":" + b + "}", "12345678"), "appears twice"},
      {file_of("{\"a\\u0000b\":" + a + "}", "1234"), "zero byte in the name"},
      {file_of("{\"" + std::string(1025, 'n') + "\":" + a + "}", "1234"), "a name of 1025 bytes"},
      {file_of(R"({"__metadata__":[]})"), "expected an object"},
      {file_of(R"({"__metadata__":{"a":1}})"), "expected a string"},
      {file_of(R"({"__metadata__":{"a":"1","a":"2"}})"), "appears twice"},
  };
  for (const auto& [file, word] : bad) {
    const std::string message = refusal(file);
    CAPTURE(file);
    CAPTURE(message);
    CHECK(message.starts_with("m.st: "));
    CHECK(mentions(message, word));
    CHECK(mentions(message, "(byte "));
  }
  CHECK(refusal(kSmall).empty());
  CHECK(refusal(file_of("{\"b\":" + b + ",\"a\":" + a + "}", "12345678")).empty());
}

TEST_CASE("safetensors: every truncation and every extension is refused") {
  for (std::size_t length = 0; length < kSmall.size(); length++) {
    CAPTURE(length);
    CHECK_FALSE(refusal(kSmall.substr(0, length)).empty());
  }
  CHECK_FALSE(refusal(kSmall + "x").empty());
}

TEST_CASE("safetensors: 20,000 damaged files are refused or readable, and never anything else") {
  const TemporaryFolder folder;
  save_safetensors(folder / "m",
                   std::vector<NamedTensor>{{"weight", Tensor::zeros({3, 4}, DType::f32)},
                                            {"bias", Tensor::zeros({5}, DType::bf16)},
                                            {"none", Tensor::zeros({0}, DType::f64)},
                                            {"steps", Tensor::zeros({}, DType::i32)}},
                   {{"format", "pt"}});
  const std::string valid = read_plainly(folder / "m");
  const std::size_t header_end = valid.rfind('}') + 1;
  PhiloxSequence random(philox_key(7, hash_name("safetensors mutations")), 0);
  int refused = 0, readable = 0;
  for (int i = 0; i < 20000; i++) {
    std::string file = valid;
    for (std::uint32_t changes = 1 + random.below(3); changes > 0 && !file.empty(); changes--) {
      // Nine in ten within the length and the header, where it hurts.
      const auto reach = static_cast<std::uint32_t>(
          random.below(10) == 0 ? file.size() : std::min(header_end, file.size()));
      const std::size_t at = random.below(reach);
      switch (random.below(5)) {
        case 0:
          file[at] = static_cast<char>(file[at] ^ (1 << random.below(8)));
          break;
        case 1:
          file[at] = "0123456789\"{}[],:-."[random.below(19)];
          break;
        case 2:
          file.insert(at, 1 + random.below(8), "09\"[{}] "[random.below(8)]);
          break;
        case 3:
          file.erase(at, 1 + random.below(8));
          break;
        default:
          file.resize(at);
      }
    }
    const std::string message = error_of([&] {
      const SafetensorsHeader header = parse_safetensors_header(bytes_of(file), file.size(), "m");
      for (const StoredTensor& stored : header.tensors) {
        CHECK(stored.begin <= stored.end);
        CHECK(stored.end <= file.size());
      }
      if (readable++ % 16 != 0) return;
      write_plainly(folder / "damaged", file);
      const SafetensorsFile damaged(folder / "damaged");
      for (const StoredTensor& stored : damaged.tensors()) {
        error_of([&] { damaged.load(stored.name); });
      }
    });
    refused += !message.empty();
    if (message.empty()) continue;
    CHECK(message.size() < 600);
  }
  CHECK(refused + readable == 20000);
  CHECK(refused > 10000);
  CHECK(readable > 100);
}

}  // namespace farsight
