// Pythia as a set of parameters and as a function: counts, names, config.json, first values; against
// a naive implementation, packed rows, step mode, bf16, gradients.
#include "models/pythia.h"

#include <doctest/doctest.h>

#include <cmath>

#include "models/model.h"
#include "tests/model_checks.h"
#include "tests/naive_pythia.h"
#include "tests/preset_settings.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

constexpr PythiaConfig kSmall{.vocab_size = 13,
                              .d_model = 12,
                              .n_layer = 2,
                              .n_head = 2,
                              .d_ff = 10,
                              .rotary_pct = 0.7};  // 4 of 6 dims

std::int64_t parameters_of(const PythiaConfig& config) {
  return Pythia(config, Device::meta, DType::bf16).parameters().count();
}

TEST_CASE("pythia: the parameter counts are those of the checkpoints") {
  CHECK(parameters_of({.n_layer = 8}) == 133'971'456);
  CHECK(parameters_of({}) == 162'322'944);
}

TEST_CASE("pythia: the presets' full sizes are the published ones") {
  CHECK(full_parameter_count("pythia") == 133'971'456);
  CHECK(full_parameter_count("pythia-160m") == 162'322'944);
  CHECK(full_parameter_count("mamba") == 129'135'360);
}

TEST_CASE("pythia: names and shapes are those of the Hugging Face checkpoint") {
  Pythia pythia({.n_layer = 1}, Device::meta, DType::f32);
  const std::string layer = "gpt_neox.layers.0.";
  const NamesAndShapes expected = {{"gpt_neox.embed_in.weight", {50304, 768}},
                                   {layer + "input_layernorm.weight", {768}},
                                   {layer + "input_layernorm.bias", {768}},
                                   {layer + "post_attention_layernorm.weight", {768}},
                                   {layer + "post_attention_layernorm.bias", {768}},
                                   {layer + "attention.query_key_value.weight", {2304, 768}},
                                   {layer + "attention.query_key_value.bias", {2304}},
                                   {layer + "attention.dense.weight", {768, 768}},
                                   {layer + "attention.dense.bias", {768}},
                                   {layer + "mlp.dense_h_to_4h.weight", {3072, 768}},
                                   {layer + "mlp.dense_h_to_4h.bias", {3072}},
                                   {layer + "mlp.dense_4h_to_h.weight", {768, 3072}},
                                   {layer + "mlp.dense_4h_to_h.bias", {768}},
                                   {"gpt_neox.final_layer_norm.weight", {768}},
                                   {"gpt_neox.final_layer_norm.bias", {768}},
                                   {"embed_out.weight", {50304, 768}}};
  check_names_and_shapes(pythia.parameters(), expected);
}

TEST_CASE("pythia: config.json reads back to the same model, and what is no Pythia is refused") {
  for (const PythiaConfig& config : {PythiaConfig{}, kSmall}) {
    const Json json = Json::parse(config.to_json().dump(2), "config.json");
    CHECK(PythiaConfig::from_json(json).to_json() == config.to_json());
    CHECK(make_model(json, Device::meta, DType::f32).family == "pythia");
  }
  const auto refusal = [](std::string_view key, const Json& value, ExitCode expected) {
    Json json = kSmall.to_json();
    json[key] = value;
    const Json parsed = Json::parse(json.dump(), "config.json");
    ExitCode code = ExitCode::ok;
    INFO(std::string(key));
    const std::string message =
        error_of([&] { make_model(parsed, Device::meta, DType::f32); }, &code);
    CHECK(code == expected);
    CHECK(!message.empty());
  };
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
                          "intermediate_size", "rotary_pct", "rotary_emb_base", "layer_norm_eps"}) {
    refusal(key, Json("16"), ExitCode::corrupt);
    refusal(key, Json(), ExitCode::corrupt);
  }
  refusal("hidden_size", Json(0), ExitCode::corrupt);
  refusal("rotary_pct", Json(1.5), ExitCode::corrupt);
  refusal("use_parallel_residual", Json(false), ExitCode::corrupt);
  refusal("tie_word_embeddings", Json(true), ExitCode::corrupt);
  refusal("hidden_act", Json("gelu_new"), ExitCode::corrupt);
  refusal("model_type", Json("gpt2"), ExitCode::corrupt);
  refusal("num_attention_heads", Json(5), ExitCode::data);
  refusal("rotary_pct", Json(0.5), ExitCode::data);  // 3 of 6 dims
}

TEST_CASE("pythia: it starts with deviations of 0.02, biases 0 and norms 1") {
  Pythia pythia({.vocab_size = 211, .d_model = 64, .n_layer = 1, .n_head = 4, .d_ff = 256},
                Device::cpu, DType::f32);
  pythia.parameters().initialise(3);
  for (const ParameterStore::Entry& entry : pythia.parameters().entries()) {
    INFO(entry.name);
    double sum = 0, squares = 0;
    for (const float x : entry.parameter->master.span<float>()) {
      sum += static_cast<double>(x);
      squares += static_cast<double>(x) * static_cast<double>(x);
    }
    const double n = static_cast<double>(entry.count);
    if (entry.parameter->shape.n == 2) {
      CHECK(std::abs(sum / n) < 5 * 0.02 / std::sqrt(n));
      CHECK(std::sqrt(squares / n) == doctest::Approx(0.02).epsilon(0.03));
    } else {
      const bool norm_weight = entry.name.ends_with("norm.weight");
      CHECK(sum == (norm_weight ? n : 0));
      CHECK(squares == (norm_weight ? n : 0));
    }
  }
}

TEST_CASE("pythia: the forward equals a naive implementation of the formulas") {
  PythiaConfig other = kSmall;
  other.n_head = 3;
  other.rotary_pct = 1;
  for (const PythiaConfig& config : {kSmall, other}) {
    INFO(config.n_head, " heads");
    Pythia pythia(config, Device::cpu, DType::f64);
    shake(pythia.parameters(), 3);
    check_against_naive<NaivePythia>(pythia, 71);  // longer than a tile of queries
  }
}

TEST_CASE("pythia: packed rows give what separate rows give") {
  Pythia pythia(kSmall, Device::cpu, DType::f64);
  shake(pythia.parameters(), 7);
  check_packed_rows(pythia, 5, 80);
}

TEST_CASE("pythia: token by token and in uneven pieces it computes what one pass computes") {
  for (const auto& [dtype, tolerance] :
       {std::pair{DType::f64, 1e-10}, {DType::f32, 1e-5}, {DType::bf16, 0.05}}) {
    INFO(std::string(name_of(dtype)));
    Pythia pythia(kSmall, Device::cpu, dtype);
    shake(pythia.parameters(), 9);
    // The cache grows once.
    check_in_pieces(pythia, 70, {{1, 2, 58, 3, 5, 1}, {69, 1}}, tolerance);
  }
}

TEST_CASE("pythia: a decoder remembers its own sequences and nobody else's") {
  const Model model = make_pythia(kSmall, Device::cpu, DType::f64);
  shake(*model.parameters, 10);
  check_decoder_remembers(model);
}

TEST_CASE("pythia: computing in bf16 stays close to f32") {
  check_bf16_near_f32<Pythia>(
      PythiaConfig{.vocab_size = 13, .d_model = 32, .n_layer = 2, .n_head = 2, .d_ff = 64}, 40);
}

TEST_CASE("pythia: the gradient of the whole model equals central differences in f64") {
  const Model model = make_pythia(kSmall, Device::cpu, DType::f64);
  for (const bool packed : {false, true}) {
    check_gradients(model, {.packed = packed, .h = 2e-4});
  }
}

}  // namespace
}  // namespace farsight
