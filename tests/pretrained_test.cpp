// What others saved: names, configs, shards; and everything that may be wrong with them.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "core/files.h"
#include "models/mamba.h"
#include "models/pretrained.h"
#include "tests/model_inputs.h"
#include "tests/small_mamba.h"
#include "tests/temporary_folder.h"
#include "train/exchange.h"

namespace farsight {
namespace {

namespace fs = std::filesystem;

const fs::path kReference = fs::path(FARSIGHT_SOURCE_DIR) / "tests" / "reference";

const NameFamily& family(std::string_view name, std::string_view type) {
  for (const NameFamily& candidate : name_families()) {
    if (candidate.name == name && candidate.model_type == type) return candidate;
  }
  FAIL("no such family");
  return name_families().front();
}

/// The tensors of a tiny model, to be changed and written.
struct Saved {
  explicit Saved(std::int64_t gate = 0)
      : model(make_mamba(small_config(gate, true), Device::cpu, DType::f32)) {
    shake(*model.parameters, 5);
    for (const ParameterStore::Entry& entry : model.parameters->entries()) {
      tensors.push_back({entry.name, entry.parameter->master});
    }
  }
  NamedTensor& operator[](std::string_view name) {
    for (NamedTensor& named : tensors) {
      if (named.name == name) return named;
    }
    FAIL("no such tensor");
    return tensors.front();
  }
  void write(const fs::path& folder) const {
    fs::create_directories(folder);
    write_plainly(folder / "config.json", model.config.dump());
    save_safetensors(folder / "model.safetensors", tensors);
  }
  Model model;
  std::vector<NamedTensor> tensors;
};

std::string load_error(const fs::path& from, ExitCode expected = ExitCode::corrupt) {
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { model_from(from, Device::cpu, DType::f32); }, &code);
  if (!message.empty()) CHECK(code == expected);
  return message;
}

TEST_CASE("names: every family leads to ours and back") {
  const auto pair = [](const NameFamily& f, const char* theirs, const char* ours) {
    INFO(theirs);
    REQUIRE(ours_of(f, theirs).has_value());
    CHECK(ours_of(f, theirs)->ours == ours);
    CHECK(theirs_of(f, ours) == theirs);
  };
  const NameFamily& state_spaces = family("state-spaces", "mamba");
  pair(state_spaces, "backbone.embedding.weight", "backbone.embeddings.weight");
  pair(state_spaces, "backbone.layers.23.mixer.A_log", "backbone.layers.23.mixer.A_log");
  const NameFamily& blink = family("blinkdl", "rwkv");
  pair(blink, "emb.weight", "rwkv.embeddings.weight");
  pair(blink, "blocks.0.ln0.bias", "rwkv.blocks.0.pre_ln.bias");
  pair(blink, "blocks.11.att.time_mix_v", "rwkv.blocks.11.attention.time_mix_value");
  pair(blink, "blocks.7.ffn.receptance.weight", "rwkv.blocks.7.feed_forward.receptance.weight");
  pair(blink, "head.weight", "head.weight");
  const NameFamily& neox = family("hf", "gpt_neox");
  pair(neox, "gpt_neox.layers.3.mlp.dense_4h_to_h.bias",
       "gpt_neox.layers.3.mlp.dense_4h_to_h.bias");
  CHECK(ours_of(neox, "gpt_neox.layers.3.attention.masked_bias")->kind == NameRule::Kind::buffer);
  const NameFamily& mamba = family("hf", "mamba");
  CHECK(ours_of(mamba, "lm_head.weight")->kind == NameRule::Kind::tied);
  for (const char* wrong :
       {"backbone.layers.07.norm.weight", "backbone.layers..norm.weight",
        "backbone.layers.x.norm.weight", "backbone.layers.1.2.norm.weight",
        "backbone.layers.-1.norm.weight", "backbone.norm_f.weights",
        "backbone.layers.12345.norm.weight", "backbone.embedding.weight", "lm_head", ""}) {
    INFO(wrong);
    CHECK_FALSE(ours_of(mamba, wrong).has_value());
  }
}

TEST_CASE("names: each family's table has as many parameters as the family") {
  const auto parameters = [](const NameFamily& f) {
    return std::ranges::count_if(
        f.rules, [](const NameRule& rule) { return rule.kind == NameRule::Kind::parameter; });
  };
  CHECK(parameters(family("hf", "mamba")) == 32);
  CHECK(parameters(family("state-spaces", "mamba")) == 14);
  CHECK(parameters(family("hf", "gpt_neox")) == 17);
  CHECK(parameters(family("hf", "rwkv")) == 24);
  CHECK(parameters(family("blinkdl", "rwkv")) == 24);
}

TEST_CASE("pretrained: shards of transformers and a file of torch.save hold the same model") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "bin");
  fs::copy(kReference / "mamba" / "config.json", folder / "bin");
  fs::copy(kReference / "mamba.pth", folder / "bin" / "pytorch_model.bin");
  const Model a = model_from(kReference / "mamba", Device::cpu, DType::f32);
  const Model b = model_from(folder / "bin", Device::cpu, DType::f32);
  CHECK(a.parameters->count() == 5004);
  CHECK(std::memcmp(a.parameters->values().ptr(), b.parameters->values().ptr(),
                    static_cast<std::size_t>(a.parameters->values().bytes())) == 0);
}

TEST_CASE("pretrained: what is missing, extra and misshaped is told together") {
  const TemporaryFolder folder;
  Saved saved;
  saved.write(folder / "good");
  CHECK(load_error(folder / "good").empty());
  saved["backbone.norm_f.weight"].name = "backbone.norm_g.weight";
  saved["backbone.layers.0.mixer.D"].tensor = Tensor::zeros({11}, DType::f32);
  saved["backbone.layers.1.mixer.conv1d.bias"].tensor = Tensor::zeros({12}, DType::i32);
  for (int i = 0; i < 20; i++) {
    saved.tensors.push_back({"surplus." + std::to_string(i), Tensor::zeros({1}, DType::f32)});
  }
  saved.write(folder / "bad");
  const std::string message = load_error(folder / "bad");
  CAPTURE(message);
  CHECK(mentions(message, "model.safetensors: "));
  CHECK(mentions(message, "1 missing: \"backbone.norm_f.weight\" [6]"));
  CHECK(mentions(message, "21 extra: \"backbone.norm_g.weight\""));
  CHECK(mentions(message, ", ..."));
  CHECK(mentions(message,
                 "1 of another shape: \"backbone.layers.0.mixer.D\" is [11], expected [12]"));
  CHECK(mentions(message, "1 not of a float type: \"backbone.layers.1.mixer.conv1d.bias\" is I32"));
}

TEST_CASE("pretrained: a tied head may be absent or equal, and nothing else") {
  const TemporaryFolder folder;
  Saved saved;
  const Tensor embedding = saved["backbone.embeddings.weight"].tensor;
  saved.tensors.push_back({"lm_head.weight", embedding.to(DType::f32)});
  saved.write(folder / "equal");
  CHECK(load_error(folder / "equal").empty());
  saved.tensors.back().tensor.data<float>()[3] += 1;
  saved.write(folder / "other");
  CHECK(mentions(load_error(folder / "other"), "tensor \"lm_head.weight\" must equal"));
  saved.tensors.back().tensor = embedding.range(0, 5);
  saved.write(folder / "small");
  CHECK(mentions(load_error(folder / "small", ExitCode::data),
                 "\"lm_head.weight\" is [5, 6], expected [13, 6]"));
}

TEST_CASE("pretrained: an index and its shards must agree, and lead nowhere else") {
  const TemporaryFolder folder;
  const fs::path copy = folder / "m", index = copy / "model.safetensors.index.json";
  fs::copy(kReference / "mamba", copy);
  const std::string good = read_plainly(index);
  const std::string first = "model-00001-of-00002.safetensors";
  const auto with = [&](const std::string& part, const std::string& other) {
    std::string text = good;
    const std::size_t at = text.find(part);
    REQUIRE(at != std::string::npos);
    write_plainly(index, text.replace(at, part.size(), other));
    return load_error(copy);
  };
  CHECK(load_error(copy).empty());
  CHECK(mentions(with(first, "../" + first), "is not the plain name of a file"));
  CHECK(mentions(with(first, "/etc/passwd"), "is not the plain name"));
  CHECK(mentions(with(first, ""), "is not the plain name"));
  CHECK(mentions(with(first, "model-00002-of-00002.safetensors"), "is not in the shard"));
  CHECK(mentions(with(first, "model-00003.safetensors"),
                 "its shard \"model-00003.safetensors\" is missing"));
  CHECK(mentions(with("backbone.norm_f.weight", "backbone.norm_g.weight"),
                 "norm_g.weight\" is not in the shard"));
  CHECK(mentions(with("backbone.norm_f.weight", "backbone.embeddings.weight"), "appears twice"));
  write_plainly(index, good);
  fs::copy_file(copy / first, copy / "model-00002-of-00002.safetensors",
                fs::copy_options::overwrite_existing);
  CHECK(mentions(load_error(copy), "is already in"));
}

TEST_CASE("pretrained: an HTML page, a truncated file and a strange config are refused") {
  const TemporaryFolder folder;
  const Saved saved;
  saved.write(folder / "m");
  const std::string good = read_plainly(folder / "m/model.safetensors");
  const std::string config = read_plainly(folder / "m/config.json");
  write_plainly(folder / "m/model.safetensors", "<!DOCTYPE html><html><body>sign in</body></html>");
  CHECK(mentions(load_error(folder / "m"), "HTML page"));
  write_plainly(folder / "m/model.safetensors", good.substr(0, good.size() - 8));
  CHECK(mentions(load_error(folder / "m"), "it is truncated"));
  write_plainly(folder / "m/model.safetensors", good);
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {"\"use_bias\":false", "\"use_bias\":true"},
           {"\"silu\"", "\"gelu\""},
           {"\"expand\":2", "\"expand\":3"},
           {"\"model_type\":\"mamba\"", "\"model_type\":\"bert\""},
           {"\"model_type\":\"mamba\"", "\"model\":\"mamba\""}}) {
    std::string changed = config;
    REQUIRE(changed.find(from) != std::string::npos);
    write_plainly(folder / "m/config.json", changed.replace(changed.find(from), from.size(), to));
    CAPTURE(to);
    CHECK(mentions(load_error(folder / "m"), "config.json"));
  }
}

TEST_CASE("pretrained: the gate of the authors' code is read off the tensors, in a wrapper too") {
  const TemporaryFolder folder;
  Saved saved(5);
  for (NamedTensor& named : saved.tensors) {
    named.name = "model." + named.name;
  }
  saved.write(folder / "m");
  MambaConfig plain = small_config(0);
  write_plainly(folder / "m/config.json", plain.to_json().dump());
  const Model model = model_from(folder / "m", Device::cpu, DType::f32);
  CHECK(model.config.at("gate_kernel").as_int() == 5);
  CHECK(model.config.at("gate_layers").elements().size() == 1);
  CHECK(model.parameters->count() == saved.model.parameters->count());
}

TEST_CASE("config: state-spaces pads its vocabulary and counts its ranks") {
  const Json config = hugging_face_config(Json::parse(
      R"({"d_model":768,"n_layer":24,"vocab_size":50277,"ssm_cfg":{},"rms_norm":true,
          "residual_in_fp32":true,"fused_add_norm":true,"pad_vocab_size_multiple":8})",
      "config.json"));
  CHECK(make_model(config, Device::meta, DType::f32).parameters->count() == 129'135'360);
  CHECK(hugging_face_config(state_spaces_config(config)) == config);
  for (const char* bad :
       {R"({"d_model":8,"n_layer":1,"vocab_size":8,"rms_norm":false})",
        R"({"d_model":8,"n_layer":1,"vocab_size":8,"ssm_cfg":{"layer":"Mamba2"}})",
        R"({"d_model":8,"n_layer":1,"vocab_size":8,"attn_layer_idx":[1]})",
        R"({"d_model":8,"n_layer":1,"vocab_size":8,"d_intermediate":4})",
        R"({"d_model":8,"n_layer":1})", R"({"n_embd":8})"}) {
    CAPTURE(bad);
    CHECK_FALSE(error_of([&] { hugging_face_config(Json::parse(bad, "c")); }).empty());
  }
}

TEST_CASE("convert: there and back again, the same bytes, tokenizer included") {
  const TemporaryFolder folder;
  const Saved saved;
  saved.write(folder / "m");
  write_plainly(folder / "m/tokenizer.json", "{\"any\": \"bytes\"}\n");
  const auto go = [&](const char* from, const char* to, const char* format, const char* dtype) {
    convert({.from = folder / from, .to = folder / to, .format = format, .dtype = dtype});
  };
  go("m", "a", "hf", "f32");
  go("a", "b", "state-spaces", "f32");
  go("b", "c", "hf", "f32");
  CHECK(read_plainly(folder / "a/model.safetensors") ==
        read_plainly(folder / "c/model.safetensors"));
  CHECK(read_plainly(folder / "c/tokenizer.json") == "{\"any\": \"bytes\"}\n");
  CHECK(SafetensorsFile(folder / "b/model.safetensors").find("lm_head.weight") != nullptr);
  for (const char* dtype : {"bf16", "f16"}) {
    const std::string first = std::string(dtype) + "1", second = std::string(dtype) + "2";
    go("m", first.c_str(), "hf", dtype);
    go(first.c_str(), second.c_str(), "hf", dtype);
    CHECK(read_plainly(folder / first / "model.safetensors") ==
          read_plainly(folder / second / "model.safetensors"));
  }
  CHECK(mentions(error_of([&] { go("m", "a", "hf", "f32"); }), "is already there"));
}

TEST_CASE("logits: one tensor a row, rows of any length, and ids that do not exist are refused") {
  const TemporaryFolder folder;
  const Saved saved;
  write_plainly(folder / "ids.json", "[[1,2,3],[4]]");
  write_logits(saved.model, {.weights = {}, .ids = folder / "ids.json", .out = folder / "out"});
  const SafetensorsFile out(folder / "out");
  CHECK(out.tensors().size() == 2);
  const Tensor direct = logits_at(saved.model, indices({1, 2, 3}, {1, 3}), all_rows(3));
  CHECK(out.load("logits.0").shape() == Shape{3, 13});
  CHECK(out.load("logits.1").shape() == Shape{1, 13});
  CHECK(std::memcmp(out.load("logits.0").ptr(), direct.ptr(), 4 * 39) == 0);
  for (const char* bad : {"[[13]]", "[[-1]]", "[[]]", "[]", "[1]", "{}", "[[1.0]]"}) {
    write_plainly(folder / "ids.json", bad);
    CAPTURE(bad);
    CHECK(mentions(error_of([&] {
                     write_logits(
                         saved.model,
                         {.weights = {}, .ids = folder / "ids.json", .out = folder / "out"});
                   }),
                   "ids.json: "));
  }
}

}  // namespace
}  // namespace farsight
