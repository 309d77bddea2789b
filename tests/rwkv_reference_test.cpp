// RWKV beside the numbers that transformers (published form) and PyTorch (the authors' form) computed
// (tests/reference/make_rwkv.py), and its folders.
#include <doctest/doctest.h>

#include <cstring>

#include "core/safetensors.h"
#include "models/rwkv.h"
#include "tests/reference_model.h"
#include "tests/temporary_folder.h"
#include "train/exchange.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

bool same_parameters(const Model& a, const Model& b) {
  const Tensor &x = a.parameters->values(), &y = b.parameters->values();
  return x.bytes() == y.bytes() &&
         std::memcmp(x.ptr(), y.ptr(), static_cast<std::size_t>(x.bytes())) == 0;
}

TEST_CASE("rwkv: logits, loss and every gradient equal those of transformers") {
  check_against_reference("rwkv", 42);
}

TEST_CASE("rwkv: logits, loss and every gradient of the authors' form equal those of PyTorch") {
  check_against_reference("rwkv-mlp", 38);
}

TEST_CASE("rwkv: ten AdamW steps go where those in double go in PyTorch") {
  check_ten_steps("rwkv", 1e-2);
  check_ten_steps("rwkv-mlp", 3e-2);
}

TEST_CASE("rwkv: a .pth with BlinkDL's names is the same model, with and without a config.json") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "m");
  fs::copy(kReference / "rwkv.pth", folder / "m");
  const Model current = model_from(kReference / "rwkv", Device::cpu, DType::f32);
  const Model alone = model_from(folder / "m/rwkv.pth", Device::cpu, DType::f32);
  CHECK(same_parameters(alone, current));
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size",
                          "layer_norm_epsilon"}) {
    CHECK(alone.config.at(key) == current.config.at(key));
  }
  fs::copy(kReference / "rwkv/config.json", folder / "m");
  CHECK(same_parameters(model_from(folder / "m/rwkv.pth", Device::cpu, DType::f32), current));
}

TEST_CASE("rwkv: weights with BlinkDL's names that make no model are refused by name") {
  const TemporaryFolder folder;
  const auto refusal = [&](const std::vector<NamedTensor>& tensors) {
    save_safetensors(folder / "w.safetensors", tensors);
    ExitCode code = ExitCode::ok;
    const std::string message =
        error_of([&] { model_from(folder / "w.safetensors", Device::cpu, DType::f32); }, &code);
    CHECK(code == ExitCode::data);
    return message;
  };
  const auto tensor = [](const Shape& shape) { return Tensor::zeros(shape, DType::f32); };
  CHECK(mentions(refusal({{"blocks.0.ln0.weight", tensor({4})}}), "emb.weight"));
  CHECK(mentions(refusal({{"emb.weight", tensor({4})}, {"blocks.0.ln0.weight", tensor({4})}}),
                 "emb.weight"));
  CHECK(mentions(refusal({{"emb.weight", tensor({8, 4})}, {"blocks.0.ln0.weight", tensor({4})}}),
                 "ffn.key.weight"));
  CHECK(mentions(refusal({{"emb.weight", tensor({8, 4})},
                          {"blocks.0.att.time_faaaa", tensor({2, 2})},
                          {"blocks.0.ffn.key.weight", tensor({16, 4})}}),
                 "1 extra: \"blocks.0.att.time_faaaa\""));
}

TEST_CASE("rwkv: both forms are written as they were read, and not as each other") {
  const TemporaryFolder folder;
  for (const std::string family : {"rwkv", "rwkv-mlp"}) {
    const Model before = model_from(kReference / family, Device::cpu, DType::f32);
    const fs::path to = folder / family;
    convert({.from = kReference / family, .to = to, .format = "hf", .dtype = "f32"});
    CHECK(same_parameters(model_from(to, Device::cpu, DType::f32), before));
    const SafetensorsFile written(to / "model.safetensors");
    CHECK(written.tensors().size() == before.parameters->entries().size());
  }
  // And in zoology's words, with the tied head that it asks for.
  const Model authors = model_from(kReference / "rwkv-mlp", Device::cpu, DType::f32);
  convert({.from = kReference / "rwkv-mlp",
           .to = folder / "zoology",
           .format = "zoology",
           .dtype = "f32"});
  const Model again = model_from(folder / "zoology", Device::cpu, DType::f32);
  CHECK(same_parameters(again, authors));
  CHECK(again.config == authors.config);
  CHECK(SafetensorsFile(folder / "zoology/model.safetensors").find("lm_head.weight") != nullptr);
  const Json config = read_json(folder / "zoology/config.json");
  CHECK(config.at("sequence_mixer").at("name").as_string() == "zoology.mixers.rwkv.RWKVTimeMixer");
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, Json>>{{"resid_dropout", Json(0.1)},
                                                 {"layer_norm_epsilon", Json(1e-6)},
                                                 {"n_layers", Json(0)},
                                                 {"vocab_size", Json("many")}}) {
    Json other = Json::parse(config.dump(), "config.json");
    other[key] = value;
    CHECK_THROWS_AS(hugging_face_config(Json::parse(other.dump(), "config.json")), Error);
  }
  fs::copy(kReference / "rwkv/config.json", folder / "rwkv-mlp",
           fs::copy_options::overwrite_existing);
  ExitCode code = ExitCode::ok;
  const std::string message =
      error_of([&] { model_from(folder / "rwkv-mlp", Device::cpu, DType::f32); }, &code);
  CHECK(code == ExitCode::data);
  CHECK(message.find("missing") != std::string::npos);
}

}  // namespace
}  // namespace farsight
