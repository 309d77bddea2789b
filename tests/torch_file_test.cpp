// Weights that torch.save wrote, and files that pretend to be such.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/philox.h"
#include "core/torch_file.h"
#include "tests/temporary_folder.h"
#include "tests/torch_bytes.h"

namespace farsight {
namespace {

std::string floats(const std::vector<float>& values) {
  std::string bytes(4 * values.size(), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

const std::string kTwelve = floats({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});

std::string twelve(std::uint64_t offset, const std::vector<std::uint64_t>& shape,
                   const std::vector<std::uint64_t>& strides) {
  return pickled_tensor(pickled_storage("FloatStorage", "0", 12), offset, shape, strides);
}

std::string one_tensor(const std::string& tensor) {
  return torch_file_of(pickled_dict(pickled_text("w") + tensor), {kTwelve});
}

/// A file's refusal, which must be Error(corrupt) and name the file and a byte.
std::string refusal(const TemporaryFolder& folder, const std::string& bytes) {
  write_plainly(folder / "weights.pth", bytes);
  ExitCode code = ExitCode::ok;
  const std::string message = error_of(
      [&] {
        const TorchFile file(folder / "weights.pth");
        for (const StoredTensor& stored : file.tensors()) {
          file.load(stored.name);
        }
      },
      &code);
  if (!message.empty()) {
    CHECK(code == ExitCode::corrupt);
    CHECK(mentions(message, "weights.pth: "));
    CHECK(message.size() < 700);
  }
  return message;
}

TEST_CASE("torch file: dense, transposed, sliced and shared tensors come out as they were") {
  const TemporaryFolder folder;
  const std::string entries =
      pickled_text("a") + twelve(0, {3, 4}, {4, 1}) +     // the whole storage
      pickled_text("t") + twelve(0, {4, 3}, {1, 4}) +     // its transpose
      pickled_text("c") + twelve(1, {3, 2}, {4, 2}) +     // columns 1 and 3
      pickled_text("scalar") + twelve(7, {}, {}) +        //
      pickled_text("none") + twelve(0, {0, 5}, {5, 1}) +  //
      pickled_text("h") + pickled_tensor(pickled_storage("HalfStorage", "1", 2), 0, {2}, {1}) +  //
      pickled_text("b") + pickled_tensor(pickled_storage("BFloat16Storage", "1", 2), 0, {2}, {1}) +
      pickled_text("p") + "ctorch._utils\n_rebuild_parameter\n(" + twelve(4, {2}, {1}) + "\x88" +
      "ccollections\nOrderedDict\n)RtR";
  write_plainly(folder / "m", torch_file_of(pickled_dict(entries),
                                            {kTwelve, std::string("\x00\x3c\x00\xc0", 4)}));
  const TorchFile file(folder / "m");
  CHECK(file.tensors().size() == 8);
  const auto values = [&](const char* name) {
    const Tensor t = file.load(name).to(DType::f64);
    return std::vector<double>(t.data<double>(), t.data<double>() + t.elements());
  };
  using V = std::vector<double>;
  CHECK(values("a") == V{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(values("t") == V{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
  CHECK(file.load("t").shape() == Shape{4, 3});
  CHECK(values("c") == V{1, 3, 5, 7, 9, 11});
  CHECK(values("scalar") == V{7});
  CHECK(values("none").empty());
  CHECK(values("h") == V{1, -2});
  CHECK(values("b") == V{0.0078125, -2});
  CHECK(file.load("b").dtype() == DType::bf16);
  CHECK(values("p") == V{4, 5});
  CHECK(file.find("x") == nullptr);
}

TEST_CASE(
    "torch file: a dict within state_dict, attributes of a dict and a comment are no obstacle") {
  const TemporaryFolder folder;
  const std::string inner = "ccollections\nOrderedDict\n)R(" + pickled_text("w") +
                            twelve(0, {12}, {1}) + "u}(" + pickled_text("_metadata") + "}ub";
  write_plainly(folder / "m", torch_file_of("\x80\x02}(" + pickled_text("epoch") + "K\x03" +
                                                pickled_text("state_dict") + inner + "u.",
                                            {kTwelve}));
  CHECK(TorchFile(folder / "m").load("w").elements() == 12);
}

TEST_CASE("torch file: a pickle that wants anything else is refused by its name") {
  const TemporaryFolder folder;
  const auto pickle = [&](const std::string& text) {
    return refusal(folder, torch_file_of(text, {kTwelve}));
  };
  const std::string call =
      "\x80\x02" + std::string("cos\nsystem\n") + pickled_text("id") + "\x85R.";
  const std::string w = pickled_text("w");
  const std::vector<std::pair<std::string, std::string>> bad = {
      {call, "asks for \"os.system\""},
      {"\x80\x02"
       "cbuiltins\neval\n.",
       "asks for \"builtins.eval\""},
      {"\x80\x02"
       "c__builtin__\ngetattr\n.",
       "\"__builtin__.getattr\""},
      {"\x80\x02"
       "ctorch\nload\n.",
       "asks for \"torch.load\""},
      {"\x80\x02"
       "ctorch._utils\n_rebuild_tensor\n.",
       "_utils._rebuild_tensor\""},
      {"\x80\x02"
       "ccollections\nOrderedDict\nx.",
       "opcode 0x78 'x'"},
      {"\x80\x02i__main__\nX\n.", "opcode 0x69 'i'"},
      {"\x80\x02\x81.", "opcode 0x81"},
      {"\x80\x02\x93.", "opcode 0x93"},
      {"\x80\x02o.", "opcode 0x6f 'o'"},
      {"\x80\x02Pid\n.", "opcode 0x50 'P'"},
      {"\x80\x04}.", "protocol 4, expected 2"},
      {"\x80\x02", "next opcode needs 1 bytes"},
      {"\x80\x02"
       "c" +
           std::string(5000, 'a'),
       "module of more than 1024"},
      {"\x80\x02X\xff\xff\xff\xff"
       "abc",
       "the string needs 4294967295 bytes"},
      {"\x80\x02\x8a\x09"
       "123456789.",
       "a number of 9 bytes"},
      {"\x80\x02h\x07.", "recalls 7, which it never stored"},
      {"\x80\x02q\x07.", "a value that is not there"},
      {"\x80\x02t.", "no mark"},
      {"\x80\x02" + std::string(100, '('), "more than 64 open marks"},
      {"\x80\x02(}u.", "a dict's key without a value"},
      {"\x80\x02}}s.", "a value that is not there"},
      {"\x80\x02}.}", "1 bytes follow"},
      {"\x80\x02}}.", "more than one value"},
      {"\x80\x02).", "what was saved must be a dict, got a tuple"},
      {"\x80\x02K\x01)R.", "REDUCE of a number"},
      {"\x80\x02"
       "ccollections\nOrderedDict\nK\x01\x85R.",
       "OrderedDict with arguments"},
      {"\x80\x02"
       "ctorch._utils\n_rebuild_tensor_v2\n)R.",
       "with 0 arguments"},
      {"\x80\x02)Q.", "no storage of five parts"},
      {pickled_dict(w + "K\x01"), "tensor \"w\" must be a tensor, got a number"},
      {pickled_dict(std::string("K\x01") + twelve(0, {1}, {1})), "name must be a string"},
      {pickled_dict(pickled_text("\xff") + twelve(0, {1}, {1})), "not plain UTF-8"},
      {pickled_dict(w + twelve(0, {1}, {1}) + w + twelve(0, {1}, {1})), "\"w\" appears twice"},
      {pickled_dict(w + twelve(0, {1}, {1, 1})), "1 sizes and 2 strides"},
      {pickled_dict(w + twelve(0, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1})),
       "9 sizes"},
      {pickled_dict(w + twelve(0, {~std::uint64_t{0}}, {1})),
       "a size must not be negative, got -1"},
      {pickled_dict(w + twelve(~std::uint64_t{0}, {1}, {1})), "offset must not be negative"},
      {pickled_dict(w + twelve(0, {2}, {~std::uint64_t{0}})), "a stride must not be negative"},
  };
  for (const auto& [text, word] : bad) {
    const std::string message = pickle(text);
    CAPTURE(word);
    CAPTURE(message);
    CHECK(mentions(message, word));
    CHECK(mentions(message, "(byte "));
  }
}

TEST_CASE("torch file: a tensor that does not fit its storage is refused by its name") {
  const TemporaryFolder folder;
  constexpr std::uint64_t kHuge = std::uint64_t{1} << 62;
  const auto other = [](const char* type, const char* key, std::uint64_t elements) {
    return one_tensor(pickled_tensor(pickled_storage(type, key, elements), 0, {2}, {1}));
  };
  const std::vector<std::pair<std::string, std::string>> bad = {
      {one_tensor(twelve(0, {13}, {1})), "tensor \"w\" reaches element 12 of a storage of 12"},
      {one_tensor(twelve(12, {1}, {1})), "reaches element 12"},
      {one_tensor(twelve(1, {3, 4}, {4, 1})), "reaches element 12"},
      {one_tensor(twelve(0, {2, 2}, {kHuge, kHuge})), "reaches element"},
      {one_tensor(twelve(0, {5}, {kHuge})), "extent of tensor \"w\" overflows"},
      {one_tensor(twelve(0, {kHuge, 4}, {0, 0})), "overflows 64 bits"},
      {one_tensor(twelve(0, {1u << 30, 1u << 30}, {0, 0})), "elements, its storage only 12"},
      {other("FloatStorage", "0", 11), "its storage is 48 bytes, expected 11 elements of F32"},
      {other("DoubleStorage", "0", 12), "expected 12 elements of F64"},
      {other("FloatStorage", "0", kHuge), "size of the storage overflows"},
      {other("FloatStorage", "7", 12), "tensor \"w\": its storage \"7\" is not in the archive"},
      {other("FloatStorage", "../version", 12), "is not in the archive"},
      {one_tensor(pickled_tensor(pickled_storage("LongStorage", "0", 6), 0, {2}, {1})),
       "tensor \"w\" is I64"},
      {one_tensor(twelve(0, {1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1})), "tensor \"w\" has rank 6"},
  };
  for (const auto& [bytes, word] : bad) {
    const std::string message = refusal(folder, bytes);
    CAPTURE(word);
    CAPTURE(message);
    CHECK(mentions(message, word));
  }
  std::string many;
  for (int i = 0; i < 400; i++) {
    many += pickled_text(std::to_string(i)) + (i == 0 ? twelve(0, {12}, {1}) + "q\x01" : "h\x01");
  }
  const std::string large(100'000, 'x');
  std::string shared = "ctorch._utils\n_rebuild_tensor_v2\n(" +
                       pickled_storage("ByteStorage", "0", large.size()) + pickled_number(0) +
                       pickled_tuple({large.size()}) + pickled_tuple({1}) + "\x89}tR";
  std::string views;
  for (int i = 0; i < 400; i++) {
    views += pickled_text(std::to_string(i)) + (i == 0 ? shared + "q\x01" : "h\x01");
  }
  CHECK(mentions(refusal(folder, torch_file_of(pickled_dict(views), {large})),
                 "the tensors are 40000000 bytes in a file of"));
  CHECK(refusal(folder, torch_file_of(pickled_dict(many), {kTwelve})).empty());
}

TEST_CASE("torch file: a zip archive with tricks is refused") {
  const TemporaryFolder folder;
  const std::string pickle = pickled_dict(pickled_text("w") + twelve(0, {12}, {1}));
  const HandmadeEntry data = {"m/data.pkl", pickle}, zero = {"m/data/0", kTwelve};
  const auto with = [&](HandmadeEntry entry) { return zip_of({data, zero, std::move(entry)}); };
  std::string cut = zip_of({data, zero});
  const std::vector<std::pair<std::string, std::string>> bad = {
      {"", "not a zip archive"},
      {"<!DOCTYPE html><html>404</html>", "not a zip archive"},
      {std::string("\x80\x02\x8a\x0al\xfc\x9c\x46\xf9 j\xa8P\x19.", 15), "before PyTorch 1.6"},
      {cut.substr(0, cut.size() - 1), "its directory is missing"},
      {cut.substr(0, cut.size() / 2), "its directory is missing"},
      {cut + "x", "its directory is missing"},
      {"x" + cut, "does not end where it is said to"},
      {with({"../../etc/passwd", "x"}), "leads out of the archive"},
      {with({"/etc/passwd", "x"}), "leads out of the archive"},
      {with({"m/../x", "x"}), "leads out of the archive"},
      {with({"m\\x", "x"}), "a name with '\\'"},
      {with({"C:x", "x"}), "a name with '\\' or ':'"},
      {with({std::string("m\0x", 3), "x"}), "a zero byte in the name"},
      {with({std::string(1025, 'n'), "x"}), "1 to 1024 bytes"},
      {with({"", "x"}), "1 to 1024 bytes"},
      {with({"m/data/0", kTwelve}), "entry \"m/data/0\" appears twice"},
      {with({"m/x", "x", 8}), "entry \"m/x\" is compressed (method 8)"},
      {with({"m/x", "x", 0, 1}), "entry \"m/x\" is encrypted"},
      {with({"m/x", "x", 0, 0, "m/y"}), "\"m/x\" has another name in the directory"},
      {with({"m/x", "x", 0, 0, "", 0}), "overlaps the one before"},
      {zip_of({{"a", "x", 0, 0, "", 1}}), "entry \"a\" does not begin where"},
      {with({"m/x", "x", 0, 0, "", 0x7fffffff}), "lies outside the archive"},
      {with({"m/x", "x", 0, 0, "", -1, 0x7fffffff}), "behind the last byte"},
      {with({"n/data.pkl", pickle}), "a second data.pkl"},
      {with({"m/byteorder", "big"}), "not little endian"},
      {zip_of({zero}), "without data.pkl"},
      {zip_of({}), "without data.pkl"},
  };
  for (const auto& [bytes, word] : bad) {
    const std::string message = refusal(folder, bytes);
    CAPTURE(word);
    CAPTURE(message);
    CHECK(mentions(message, word));
  }
  CHECK(refusal(folder, cut).empty());
  CHECK(refusal(folder, zip_of({data, zero}, "PK\x05\x06 a comment")).empty());
}

TEST_CASE(
    "torch file: every truncation is refused, and 20,000 damaged files end in words or tensors") {
  const TemporaryFolder folder;
  const std::string valid = one_tensor(twelve(1, {3, 2}, {4, 2}));
  for (std::size_t length = 0; length < valid.size(); length += 7) {
    CHECK_FALSE(refusal(folder, valid.substr(0, length)).empty());
  }
  PhiloxSequence random(philox_key(9, hash_name("torch mutations")), 0);
  int refused = 0;
  for (int i = 0; i < 20000; i++) {
    std::string file = valid;
    for (std::uint32_t changes = 1 + random.below(3); changes > 0; changes--) {
      const std::size_t at = random.below(static_cast<std::uint32_t>(file.size()));
      if (random.below(2) == 0) {
        file[at] = static_cast<char>(file[at] ^ (1 << random.below(8)));
      } else {
        file[at] = "()]}cRQqhtus.XKJ\x85\x86\x8a\x00\xff\x7f"[random.below(22)];
      }
    }
    refused += !refusal(folder, file).empty();
  }
  CHECK(refused > 5000);
  CHECK(refused < 20000);
}

}  // namespace
}  // namespace farsight
