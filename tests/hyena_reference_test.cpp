// Hyena in both forms beside the numbers that PyTorch computed (tests/reference/make_hyena.py), and the
// names and settings of safari and zoology.
#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "models/hyena.h"
#include "models/hyena_dialects.h"
#include "tests/reference_model.h"
#include "tests/temporary_folder.h"
#include "train/checkpoint.h"
#include "train/exchange.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

TEST_CASE("hyena: logits, loss and every gradient equal those of PyTorch, in both forms") {
  check_against_reference("hyena", 52);
  check_against_reference("hyena-safari", 51);
}

TEST_CASE("hyena: ten AdamW steps go where those in double go in PyTorch") {
  check_ten_steps("hyena", 2e-2);
  check_ten_steps("hyena-safari", 2e-2);
}

TEST_CASE("hyena: what convert writes for safari and zoology is what they saved") {
  const TemporaryFolder folder;
  for (const auto& [family, format] :
       {std::pair<const char*, const char*>{"hyena", "zoology"}, {"hyena-safari", "safari"}}) {
    INFO(std::string(family));
    const fs::path ours = folder / (std::string(family) + "-ours");
    const fs::path theirs = folder / (std::string(family) + "-theirs");
    convert({.from = kReference / family, .to = ours, .format = "hf", .dtype = "f32"});
    convert({.from = ours, .to = theirs, .format = format, .dtype = "f32"});
    const SafetensorsFile original(kReference / family / "model.safetensors");
    const SafetensorsFile written(theirs / "model.safetensors");
    REQUIRE(written.tensors().size() == original.tensors().size());
    for (const StoredTensor& tensor : original.tensors()) {
      INFO(tensor.name);
      REQUIRE(written.find(tensor.name) != nullptr);
      CHECK(written.find(tensor.name)->shape == tensor.shape);
      // Buffers are computed again: torch.linspace rounds otherwise in the last place.
      CHECK(apart(wide(written.load(tensor.name)), wide(original.load(tensor.name))) <
            (tensor.name.ends_with("deltas") ? 2e-6 : 1e-7));
    }
    const SafetensorsFile plain(ours / "model.safetensors");
    CHECK(plain.find("lm_head.weight") == nullptr);
    CHECK(plain.tensors().size() == (std::string(family) == "hyena" ? 52 : 51));
    CHECK(parameter_hash(model_from(theirs, Device::cpu, DType::f32)) ==
          parameter_hash(model_from(kReference / family, Device::cpu, DType::f32)));
  }
}

TEST_CASE("hyena: a form that a format has no words for is refused") {
  const TemporaryFolder folder;
  ExitCode code = ExitCode::ok;
  const std::string message = error_of(
      [&] { convert({.from = kReference / "hyena", .to = folder / "x", .format = "safari"}); },
      &code);
  CHECK(mentions(message, "--format safari"));
  CHECK(code == ExitCode::data);
}

TEST_CASE("hyena: configs of safari and zoology give the published sizes") {
  const Json safari = Json::parse(R"({
    "_name_": "lm", "d_model": 864, "n_layer": 18, "d_inner": 1728, "vocab_size": 50257,
    "resid_dropout": 0.0, "embed_dropout": 0.1, "pad_vocab_size_multiple": 8,
    "layer": {"_name_": "hyena", "emb_dim": 33, "filter_order": 64, "local_order": 3, "l_max": 2048,
              "modulate": true, "w": 14, "lr": 0.0006, "wd": 0.0, "lr_pos_emb": 0.0006}})",
                                  "config.json");
  const Json ours = hyena_from_safari(safari);
  CHECK(make_model(ours, Device::meta, DType::bf16).parameters->count() == 153'700'416);
  CHECK(hyena_from_safari(safari_config(ours)) == ours);
  const Json zoology = Json::parse(R"({
    "sequence_mixer": {"name": "zoology.mixers.hyena.Hyena",
                       "kwargs": {"l_max": 1024, "filter_order": 64, "emb_dim": 33, "w": 14}},
    "state_mixer": {"name": "zoology.mixers.mlp.MLP", "kwargs": {"hidden_mult": 2}},
    "d_model": 864, "n_layers": 18, "max_position_embeddings": 1024, "vocab_size": 50254,
    "pad_vocab_size_multiple": 8})",
                                   "config.json");
  const Json authors = hyena_from_zoology(zoology);
  CHECK(make_model(authors, Device::meta, DType::bf16).parameters->count() == 153'969'984);
  CHECK(hyena_from_zoology(zoology_config(authors)) == authors);
}

TEST_CASE("hyena: settings of safari and zoology that make another model are refused by name") {
  const auto refusal = [](const char* family, const std::string& section, const std::string& key,
                          const std::string& value) {
    Json config = read_json(kReference / family / "config.json");
    Json* at = &config;
    if (!section.empty()) at = &config[section];
    if (section == "sequence_mixer" && key != "name") at = &(*at)["kwargs"];
    (*at)[key] = Json::parse(value, "value");
    const Json parsed = Json::parse(config.dump(), "m/config.json");
    ExitCode code = ExitCode::ok;
    INFO(section, ".", key, " ", value);
    CHECK(!error_of([&] { hugging_face_config(parsed); }, &code).empty());
    CHECK(code == ExitCode::corrupt);
  };
  refusal("hyena-safari", "", "attn_layer_idx", "[1]");
  refusal("hyena-safari", "", "max_position_embeddings", "16");
  refusal("hyena-safari", "", "resid_dropout", "0.1");
  refusal("hyena-safari", "layer", "_name_", "\"h3\"");
  refusal("hyena-safari", "layer", "order", "3");
  refusal("hyena-safari", "layer", "num_inner_mlps", "1");
  refusal("hyena-safari", "layer", "modulate", "false");
  refusal("hyena-safari", "layer", "shift", "0.05");
  refusal("hyena-safari", "layer", "l_max", "\"long\"");
  refusal("hyena", "", "max_position_embeddings", "8");
  refusal("hyena", "", "layer_norm_epsilon", "1e-6");
  refusal("hyena", "sequence_mixer", "name", "\"zoology.mixers.based.Based\"");
  refusal("hyena", "sequence_mixer", "num_heads", "2");
  refusal("hyena", "sequence_mixer", "bidirectional", "true");
  refusal("hyena", "state_mixer", "name", "\"zoology.mixers.mlp.GLU\"");
}

}  // namespace
}  // namespace farsight
