// Pythia beside the numbers that transformers computed (tests/reference/make_pythia.py), and its
// config.json in every form that people have.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "models/pythia.h"
#include "tests/reference_model.h"
#include "tests/temporary_folder.h"
#include "train/checkpoint.h"
#include "train/exchange.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

TEST_CASE("pythia: logits, loss and every gradient equal those of transformers") {
  check_against_reference("pythia", 28);
}

TEST_CASE("pythia: ten AdamW steps go where those in double go in PyTorch") {
  check_ten_steps("pythia", 1e-2);
}

/// config.json of EleutherAI/pythia-160m, in the words of transformers 4.24.
constexpr const char* kPublished = R"({
  "architectures": ["GPTNeoXForCausalLM"], "bos_token_id": 0, "eos_token_id": 0,
  "hidden_act": "gelu", "hidden_size": 768, "initializer_range": 0.02,
  "intermediate_size": 3072, "layer_norm_eps": 1e-05, "max_position_embeddings": 2048,
  "model_type": "gpt_neox", "num_attention_heads": 12, "num_hidden_layers": 12,
  "rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": false,
  "torch_dtype": "float16", "transformers_version": "4.24.0", "use_cache": true,
  "use_parallel_residual": true, "vocab_size": 50304})";

TEST_CASE("pythia: a published checkpoint, halves and buffers among them, is the same model") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "m");
  fs::copy(kReference / "pythia-2023.bin", folder / "m" / "pytorch_model.bin");
  Json config = Json::parse(kPublished, "config.json");
  for (const auto& [key, value] :
       std::vector<std::pair<const char*, int>>{{"hidden_size", 32},
                                                {"intermediate_size", 36},
                                                {"num_attention_heads", 2},
                                                {"num_hidden_layers", 2},
                                                {"vocab_size", 29}}) {
    config[key] = Json(value);
  }
  write_plainly(folder / "m/config.json", config.dump());
  const Model published = model_from(folder / "m", Device::cpu, DType::f32);
  const Model current = model_from(kReference / "pythia", Device::cpu, DType::f32);
  CHECK(published.parameters->count() == current.parameters->count());
  CHECK(std::memcmp(published.parameters->values().ptr(), current.parameters->values().ptr(),
                    static_cast<std::size_t>(current.parameters->values().bytes())) == 0);

  // There and back again: what was read as f16 is written as the same f16, without the buffers.
  convert({.from = folder / "m", .to = folder / "a", .format = "hf", .dtype = "f16"});
  convert({.from = folder / "a", .to = folder / "b", .format = "hf", .dtype = "f16"});
  CHECK(read_plainly(folder / "a/model.safetensors") ==
        read_plainly(folder / "b/model.safetensors"));
  const SafetensorsFile written(folder / "a/model.safetensors");
  CHECK(written.tensors().size() == 28);
  CHECK(written.find("embed_out.weight") != nullptr);
  CHECK(written.find("gpt_neox.layers.0.attention.bias") == nullptr);
}

TEST_CASE("pythia: the head may be called lm_head, but there is one") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "m");
  fs::copy(kReference / "pythia/config.json", folder / "m");
  const Model model = model_from(kReference / "pythia", Device::cpu, DType::f32);
  std::vector<NamedTensor> tensors;
  for (const ParameterStore::Entry& entry : model.parameters->entries()) {
    tensors.push_back({entry.name, entry.parameter->master});
  }
  tensors.back().name = "lm_head.weight";
  save_safetensors(folder / "m/model.safetensors", tensors);
  CHECK(parameter_hash(model_from(folder / "m", Device::cpu, DType::f32)) == parameter_hash(model));
  tensors.push_back({"embed_out.weight", tensors.back().tensor});
  save_safetensors(folder / "m/model.safetensors", tensors);
  CHECK(mentions(error_of([&] { model_from(folder / "m", Device::cpu, DType::f32); }), "1 extra"));
}

TEST_CASE("pythia: configs of every version of transformers give the same model") {
  const PythiaConfig expected;  // pythia-160m
  const Json published = Json::parse(kPublished, "config.json");
  CHECK(PythiaConfig::from_json(published).to_json() == expected.to_json());
  CHECK(make_model(published, Device::meta, DType::bf16).parameters->count() == 162'322'944);
  Json later = published;
  later["rotary_pct"] = Json(0.5);  // of no account where rope_parameters are
  later["rope_scaling"] = Json();
  later["rope_parameters"] = Json::object(
      {{"partial_rotary_factor", 0.25}, {"rope_theta", 10000.0}, {"rope_type", "default"}});
  CHECK(PythiaConfig::from_json(later).to_json() == expected.to_json());
  Json bare = Json::parse(kPublished, "config.json");
  bare["rope_parameters"] = Json::object({{"rope_type", "default"}});
  CHECK(PythiaConfig::from_json(bare).to_json() == expected.to_json());
}

TEST_CASE("pythia: a GPT-NeoX that is no Pythia is refused by the name of its key") {
  const auto refusal = [](const std::string& key, const std::string& value) {
    Json config = Json::parse(kPublished, "config.json");
    config[key] = Json::parse(value, "config.json");
    ExitCode code = ExitCode::ok;
    const Json parsed = Json::parse(config.dump(), "m/config.json");
    const std::string message = error_of([&] { PythiaConfig::from_json(parsed); }, &code);
    CAPTURE(message);
    CHECK(code == ExitCode::corrupt);
    CHECK(mentions(message, "m/config.json: "));
    return message;
  };
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {"use_parallel_residual", "false"},
      {"attention_bias", "false"},
      {"tie_word_embeddings", "true"},
      {"hidden_act", "\"gelu_new\""},
      {"hidden_act", "\"relu\""},
      {"rope_scaling", R"({"type": "linear", "factor": 2.0})"},
      {"rope_parameters", R"({"rope_type": "yarn", "factor": 2.0})"}};
  for (const auto& [key, value] : wrong) {
    CHECK(mentions(refusal(key, value), key + ": "));
  }
  CHECK(mentions(refusal("rope_parameters", R"({"partial_rotary_factor": 2})"), "0 to 1"));
  CHECK(mentions(refusal("rope_parameters", R"({"rope_theta": "big"})"), "number"));
}

}  // namespace
}  // namespace farsight
