// Checkpoints that are wrong in the ways in which downloads, exports and disks are: for each there is
// a sentence with the file and, as far as one can tell, the tensor.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/json.h"
#include "tests/reference_model.h"
#include "tests/safetensors_bytes.h"
#include "tests/temporary_folder.h"
#include "train/exchange.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTensor = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight";  // [36, 32]
constexpr const char* kHtml = "<!DOCTYPE html>\n<html><body>Please sign in</body></html>";

/// A header of safetensors as text and the data behind it.
struct Parts {
  explicit Parts(const std::string& file) {
    const std::size_t begin = file.find('{');
    const std::size_t length = file.find("}}", begin) + 2 - begin;
    header = file.substr(begin, length);
    std::size_t data_begin = 0;
    for (std::size_t i = 8; i-- > 0;) {
      data_begin = data_begin << 8 | static_cast<unsigned char>(file[i]);
    }
    data = file.substr(8 + data_begin);
  }
  std::string header, data;
};

/// The tiny Pythia in one file.
class Checkpoint {
 public:
  explicit Checkpoint(const fs::path& folder) : folder_(folder) {
    fs::create_directories(folder);
    fs::copy(kReference / "pythia" / "config.json", folder);
    const Model model = model_from(kReference / "pythia", Device::cpu, DType::f32);
    std::vector<NamedTensor> tensors;
    for (const ParameterStore::Entry& entry : model.parameters->entries()) {
      tensors.push_back({entry.name, entry.parameter->master});
    }
    save_safetensors(file(), tensors);
    good_ = read_plainly(file());
  }
  fs::path file() const { return folder_ / "model.safetensors"; }
  const std::string& good() const { return good_; }

  /// What is said of other bytes under the same name.
  std::string refusal(const std::string& bytes, ExitCode expected = ExitCode::corrupt) const {
    write_plainly(file(), bytes);
    ExitCode code = ExitCode::ok;
    const std::string message =
        error_of([&] { model_from(folder_, Device::cpu, DType::f32); }, &code);
    CAPTURE(message);
    CHECK(code == expected);
    CHECK(mentions(message, file().string() + ": "));
    return message;
  }
  /// The same of another entry of kTensor in the header.
  std::string refusal_of_entry(const std::string& dtype, const std::vector<std::int64_t>& shape,
                               std::int64_t moved_by, ExitCode expected) const {
    const Parts parts(good_);
    Json header = Json::parse(parts.header, "header");
    Json& entry = header[kTensor];
    const std::int64_t begin = entry.at("data_offsets").at(0).as_int() + moved_by;
    const std::int64_t end = entry.at("data_offsets").at(1).as_int() + moved_by;
    entry["dtype"] = Json(dtype);
    entry["shape"] = Json::array_of(shape);
    entry["data_offsets"] = Json::array({begin, end});
    const std::string message = refusal(file_of(header.dump(), parts.data), expected);
    CHECK(mentions(message, kTensor));
    return message;
  }

 private:
  fs::path folder_;
  std::string good_;
};

TEST_CASE("bad checkpoint: dtype, shape, offsets and names, in the header of a good file") {
  const TemporaryFolder folder;
  const Checkpoint checkpoint(folder / "m");
  CHECK(error_of([&] { model_from(folder / "m", Device::cpu, DType::f32); }).empty());
  const auto entry = [&](const char* dtype, const std::vector<std::int64_t>& shape,
                         std::int64_t moved_by = 0, ExitCode code = ExitCode::corrupt) {
    return checkpoint.refusal_of_entry(dtype, shape, moved_by, code);
  };
  CHECK(mentions(entry("I32", {36, 32}), "not of a float type"));
  CHECK(mentions(entry("U8", {144, 32}), "is U8"));
  CHECK(mentions(entry("BOOL", {144, 32}), "is BOOL"));
  CHECK(mentions(entry("F8_E4M3", {144, 32}), "is F8_E4M3"));
  CHECK(mentions(entry("F32", {32, 36}, 0, ExitCode::data), "is [32, 36], expected [36, 32]"));
  CHECK(mentions(entry("F32", {1152}, 0, ExitCode::data), "is [1152], expected [36, 32]"));
  CHECK(mentions(entry("F32", {36, 33}), "are not the 4752 bytes of its shape"));
  CHECK(mentions(entry("F16", {36, 32}), "are not the 2304 bytes of its shape"));
  CHECK(mentions(entry("F99", {36, 32}), "unknown dtype"));
  CHECK(mentions(entry("F32", {36, 32}, -4), "overlap"));
  CHECK(mentions(entry("F32", {36, 32}, 4), "hole"));

  const Parts parts(checkpoint.good());
  std::string twice = parts.header;
  const std::string other = "gpt_neox.layers.0.mlp.dense_h_to_4h.weight";
  const std::size_t at = twice.find(other);
  REQUIRE(at != std::string::npos);
  twice.replace(at, other.size(), kTensor);
  const std::string message = checkpoint.refusal(file_of(twice, parts.data));
  CHECK(mentions(message, std::string("\"") + kTensor + "\" appears twice"));
}

TEST_CASE("bad checkpoint: cut short anywhere, and what is no file of weights at all") {
  const TemporaryFolder folder;
  const Checkpoint checkpoint(folder / "m");
  const std::string& good = checkpoint.good();
  const std::size_t data = good.find("}}") + 2;
  CHECK(mentions(checkpoint.refusal(good.substr(0, good.size() - 1)), "truncated"));
  const std::string half = checkpoint.refusal(good.substr(0, (data + good.size()) / 2));
  CHECK(mentions(half, "truncated"));
  CHECK(mentions(half, "tensor \""));
  CHECK(mentions(checkpoint.refusal(good.substr(0, data / 2)), "truncated"));
  CHECK(mentions(checkpoint.refusal(""), "only 0 bytes"));
  CHECK(mentions(checkpoint.refusal(kHtml), "HTML page"));
  CHECK(mentions(checkpoint.refusal("version https://git-lfs.github.com/spec/v1\n"), "Git LFS"));
  CHECK(mentions(checkpoint.refusal(good + "more"), "4 bytes follow the last tensor"));
}

TEST_CASE("bad checkpoint: an HTML page in the place of any file of a folder") {
  const TemporaryFolder folder;
  const auto refusal = [&](const char* name, const char* source) {
    const fs::path copy = folder / "copy";
    fs::remove_all(copy);
    fs::copy(kReference / source, copy);
    write_plainly(copy / name, kHtml);
    const std::string message = error_of([&] { model_from(copy, Device::cpu, DType::f32); });
    CAPTURE(message);
    CHECK(mentions(message, (copy / name).string() + ": "));
    return message;
  };
  CHECK(mentions(refusal("model-00002-of-00002.safetensors", "pythia"), "HTML page"));
  refusal("model.safetensors.index.json", "pythia");
  refusal("config.json", "pythia");
  const fs::path bin = folder / "bin";
  fs::create_directories(bin);
  fs::copy(kReference / "pythia" / "config.json", bin);
  write_plainly(bin / "pytorch_model.bin", kHtml);
  CHECK(mentions(error_of([&] { model_from(bin, Device::cpu, DType::f32); }), "HTML page"));
  const std::string good = read_plainly(kReference / "pythia-2023.bin");
  for (const std::size_t length : {good.size() - 1, good.size() / 2, std::size_t{1000}}) {
    write_plainly(bin / "pytorch_model.bin", good.substr(0, length));
    const std::string message = error_of([&] { model_from(bin, Device::cpu, DType::f32); });
    CAPTURE(message);
    CHECK(mentions(message, (bin / "pytorch_model.bin").string() + ": "));
  }
}

TEST_CASE("bad checkpoint: of several shards, the one with the tensor is named") {
  const TemporaryFolder folder;
  const fs::path copy = folder / "copy";
  fs::copy(kReference / "pythia", copy);
  Json config = read_json(copy / "config.json");
  config["intermediate_size"] = Json(40);
  write_plainly(copy / "config.json", config.dump());
  const std::string message = error_of([&] { model_from(copy, Device::cpu, DType::f32); });
  CAPTURE(message);
  CHECK(mentions(message, "6 of another shape: "));
  CHECK(mentions(message, "is [36, 32], expected [40, 32] in model-0000"));
}

}  // namespace
}  // namespace farsight
