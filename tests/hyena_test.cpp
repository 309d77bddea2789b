// Hyena as a set of parameters and as a function: counts, names, config.json, first values, step mode,
// dropout, bf16, gradients; what it refuses. Against PyTorch: tests/hyena_reference_test.cpp.
#include "models/hyena.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "models/model.h"
#include "tests/model_checks.h"
#include "tests/preset_settings.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

constexpr HyenaConfig kSmall{.vocab_size = 13,
                             .d_model = 10,
                             .n_layer = 2,
                             .d_ff = 14,
                             .l_max = 70,
                             .filter_width = 6,
                             .filter_features = 5,
                             .filter_frequency = 3};

HyenaConfig safari(HyenaConfig config) {
  config.form = HyenaForm::safari;
  return config;
}

std::string form_of(const HyenaConfig& config) {
  return config.form == HyenaForm::safari ? "safari" : "authors";
}

std::int64_t parameters_of(const HyenaConfig& config) {
  return Hyena(config, Device::meta, DType::bf16).parameters().count();
}

TEST_CASE("hyena: the parameter counts are those of both forms") {
  CHECK(parameters_of({}) == 153'969'984);
  CHECK(parameters_of({.form = HyenaForm::safari, .vocab_size = 50264, .l_max = 2048}) ==
        153'700'416);
}

TEST_CASE("hyena: the presets' full sizes are those of the paper and of the authors") {
  CHECK(full_parameter_count("hyena") == 153'969'984);
  CHECK(full_parameter_count("hyena-safari") == 153'700'416);
  const Model safari = model_of(settings_of("hyena-safari", "pocket"), Device::meta);
  CHECK(safari.config.at("form").as_string() == "safari");
  CHECK(safari.family == "hyena");
}

TEST_CASE("hyena: names and shapes are safari's") {
  const std::string layer = "backbone.layers.0.", filter = layer + "mixer.filter_fn.";
  NamesAndShapes expected = {{"backbone.embeddings.word_embeddings.weight", {50256, 864}},
                             {"backbone.embeddings.position_embeddings.weight", {1024, 864}},
                             {layer + "mixer.in_proj.weight", {2592, 864}},
                             {layer + "mixer.in_proj.bias", {2592}},
                             {layer + "mixer.out_proj.weight", {864, 864}},
                             {layer + "mixer.out_proj.bias", {864}},
                             {layer + "mixer.short_filter.weight", {2592, 1, 3}},
                             {layer + "mixer.short_filter.bias", {2592}},
                             {filter + "bias", {864}},
                             {filter + "pos_emb.z", {1, 1024, 33}},
                             {filter + "implicit_filter.0.weight", {64, 33}},
                             {filter + "implicit_filter.0.bias", {64}},
                             {filter + "implicit_filter.1.freq", {1, 64}},
                             {filter + "implicit_filter.2.weight", {64, 64}},
                             {filter + "implicit_filter.2.bias", {64}},
                             {filter + "implicit_filter.4.weight", {64, 64}},
                             {filter + "implicit_filter.4.bias", {64}},
                             {filter + "implicit_filter.6.weight", {864, 64}},
                             {layer + "norm1.weight", {864}},
                             {layer + "norm1.bias", {864}},
                             {layer + "mlp.fc1.weight", {1728, 864}},
                             {layer + "mlp.fc1.bias", {1728}},
                             {layer + "mlp.fc2.weight", {864, 1728}},
                             {layer + "mlp.fc2.bias", {864}},
                             {layer + "norm2.weight", {864}},
                             {layer + "norm2.bias", {864}},
                             {"backbone.ln_f.weight", {864}},
                             {"backbone.ln_f.bias", {864}}};
  for (const HyenaForm form : {HyenaForm::authors, HyenaForm::safari}) {
    Hyena hyena({.form = form, .n_layer = 1}, Device::meta, DType::f32);
    if (form == HyenaForm::safari) expected.erase(expected.begin() + 1);
    check_names_and_shapes(hyena.parameters(), expected);
  }
}

TEST_CASE("hyena: config.json reads back to the same model, and what is no Hyena is refused") {
  for (const HyenaConfig& config : {HyenaConfig{}, kSmall, safari(kSmall)}) {
    const Json json = Json::parse(config.to_json().dump(2), "config.json");
    CHECK(HyenaConfig::from_json(json).to_json() == config.to_json());
    CHECK(make_model(json, Device::meta, DType::f32).family == "hyena");
  }
  const auto refusal = [](std::string_view key, const Json& value) {
    Json json = kSmall.to_json();
    json[key] = value;
    const Json parsed = Json::parse(json.dump(), "config.json");
    ExitCode code = ExitCode::ok;
    INFO(std::string(key));
    CHECK(!error_of([&] { make_model(parsed, Device::meta, DType::f32); }, &code).empty());
    CHECK(code == ExitCode::corrupt);
  };
  for (const char* key :
       {"form", "vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size",
        "conv_kernel", "max_position_embeddings", "filter_order", "filter_emb_dim",
        "filter_frequency", "embed_dropout", "layer_norm_eps"}) {
    refusal(key, Json("16"));
    refusal(key, Json());
  }
  refusal("form", Json("other"));
  refusal("filter_emb_dim", Json(4));
  refusal("embed_dropout", Json(1.0));
  refusal("max_position_embeddings", Json(1));
}

TEST_CASE("hyena: it begins with the authors' first values") {
  HyenaConfig config{.vocab_size = 211, .d_model = 64, .n_layer = 8, .d_ff = 128, .l_max = 50};
  Hyena hyena(config, Device::cpu, DType::f32);
  hyena.parameters().initialise(3);
  const auto deviation = [&](const std::string& name) {
    double squares = 0;
    const Parameter& parameter = *hyena.parameters().find(name)->parameter;
    for (const float x : parameter.master.span<float>()) {
      squares += static_cast<double>(x) * static_cast<double>(x);
    }
    return std::sqrt(squares / static_cast<double>(parameter.master.elements()));
  };
  const std::string mixer = "backbone.layers.7.mixer.", filter = mixer + "filter_fn.";
  CHECK(deviation("backbone.embeddings.word_embeddings.weight") ==
        doctest::Approx(0.02).epsilon(0.05));
  CHECK(deviation(mixer + "in_proj.weight") == doctest::Approx(0.02).epsilon(0.05));
  CHECK(deviation(mixer + "out_proj.weight") == doctest::Approx(0.005).epsilon(0.05));
  CHECK(deviation("backbone.layers.0.mlp.fc2.weight") == doctest::Approx(0.005).epsilon(0.05));
  CHECK(deviation(mixer + "short_filter.bias") ==
        doctest::Approx(1 / std::sqrt(3.0) / std::sqrt(3.0)).epsilon(0.1));
  CHECK(deviation(mixer + "in_proj.bias") == 0);
  CHECK(deviation(filter + "implicit_filter.0.bias") == 0);
  CHECK(deviation(filter + "bias") == doctest::Approx(1).epsilon(0.3));
  CHECK(deviation(filter + "implicit_filter.1.freq") == doctest::Approx(14));
  CHECK(deviation("backbone.layers.3.norm2.weight") == 1);

  const float* z = hyena.parameters().find(filter + "pos_emb.z")->parameter->master.data<float>();
  for (const std::int64_t t : {0, 1, 30, 49}) {
    CHECK(z[t * 33] == doctest::Approx(static_cast<double>(t) / 49));
    for (int i = 0; i < 16; i++) {
      const double f = 1e-4 + (15 - 1e-4) * i / 15;
      const double angle = f * 2 * std::numbers::pi * static_cast<double>(t) / 50;
      CHECK(z[t * 33 + 1 + i] == doctest::Approx(std::cos(angle)).epsilon(1e-5));
      CHECK(z[t * 33 + 17 + i] == doctest::Approx(-std::sin(angle)).epsilon(1e-5));
    }
  }
  const DecayRates rates = hyena_decay(HyenaConfig{});
  CHECK(rates.rate(0, 864) == doctest::Approx(3.070).epsilon(1e-3));
  CHECK(rates.rate(863, 864) == doctest::Approx(15.351).epsilon(1e-4));
  CHECK(rates.time(1023) == 1);
}

TEST_CASE("hyena: token by token and in uneven pieces it computes what one pass computes") {
  for (const HyenaConfig& config : {kSmall, safari(kSmall)}) {
    for (const auto& [dtype, tolerance] :
         {std::pair{DType::f64, 1e-10}, {DType::f32, 2e-5}, {DType::bf16, 0.1}}) {
      INFO(form_of(config), " ", std::string(name_of(dtype)));
      Hyena hyena(config, Device::cpu, dtype);
      shake(hyena.parameters(), 9);
      // The cache grows once, to l_max.
      check_in_pieces(hyena, 70, {{1, 2, 58, 3, 5, 1}, {69, 1}}, tolerance);
    }
  }
}

TEST_CASE("hyena: a decoder remembers its own sequences and nobody else's") {
  const Model model = make_hyena(kSmall, Device::cpu, DType::f64);
  shake(*model.parameters, 10);
  check_decoder_remembers(model);
}

TEST_CASE("hyena: what is longer than its filter is refused, before training and in a model") {
  Hyena hyena(kSmall, Device::cpu, DType::f32);
  hyena.parameters().initialise(1);
  ExitCode code = ExitCode::ok;
  const auto refusal = [&](const auto& call) { return error_of(call, &code); };
  CHECK(mentions(refusal([&] {
                   all_logits(hyena, indices(some_tokens(71, 13), {1, 71}));
                 }),
                 "71 tokens is longer than the model's l_max of 70"));
  CHECK(code == ExitCode::data);
  HyenaState state = hyena.empty_state(1);
  all_logits(hyena, indices(some_tokens(70, 13), {1, 70}), nullptr, &state);
  CHECK(mentions(refusal([&] {
                   all_logits(hyena, indices({1}, {1, 1}), nullptr, &state);
                 }),
                 "71 tokens"));

  Settings settings = settings_of("hyena", "pocket");
  settings.model.l_max = 63;
  CHECK(mentions(refusal([&] { model_of(settings, Device::meta); }),
                 "64 tokens are more than model.l_max = 63"));
  CHECK(code == ExitCode::usage);
}

TEST_CASE("hyena: rows are not packed, and asking for it is refused") {
  Settings settings = settings_of("hyena", "pocket");
  settings.train.packing = RowPacking::on;
  ExitCode code = ExitCode::ok;
  CHECK(
      mentions(error_of([&] { loader_of(settings); }, &code), "a row of hyena holds one sequence"));
  CHECK(code == ExitCode::usage);
  settings.train.packing = RowPacking::automatic;
  for (const Batch& batch : loader_of(settings).at(0).micro_batches) {
    CHECK_FALSE(batch.packed());
  }
  Hyena hyena(kSmall, Device::cpu, DType::f32);
  const Tensor position = indices({0, 1, 0}, {1, 3});
  CHECK(mentions(error_of([&] {
                   hyena.features(indices({1, 2, 3}, {1, 3}), indices({2}, {1}), &position);
                 }),
                 "rows cannot be packed"));
}

TEST_CASE("hyena: dropout acts on embeddings in training, by the pass, and not in evaluation") {
  Hyena hyena(kSmall, Device::cpu, DType::f64);
  shake(hyena.parameters(), 5);
  const Tensor tokens = indices(some_tokens(40, 13), {2, 20});
  const Tensor calm = all_logits(hyena, tokens);
  const Tensor first = indices({1, 0}, {2}), second = indices({2, 0}, {2});
  const Tensor dropped = all_logits(hyena, tokens, nullptr, nullptr, &first);
  CHECK(distance(dropped, calm) > 1e-3);
  CHECK(distance(all_logits(hyena, tokens, nullptr, nullptr, &first), dropped) == 0);
  CHECK(distance(all_logits(hyena, tokens, nullptr, nullptr, &second), dropped) > 1e-3);
  HyenaConfig never = kSmall;
  never.embed_dropout = 0;
  Hyena plain(never, Device::cpu, DType::f64);
  shake(plain.parameters(), 5);
  CHECK(distance(all_logits(plain, tokens, nullptr, nullptr, &first), calm) == 0);
}

TEST_CASE("hyena: computing in bf16 stays close to f32") {
  check_bf16_near_f32<Hyena>(
      HyenaConfig{.vocab_size = 13, .d_model = 32, .n_layer = 2, .d_ff = 64, .l_max = 40}, 40);
}

TEST_CASE("hyena: the gradient of the whole model equals central differences in f64") {
  const Tensor pass = indices({17, 4}, {2});
  for (const HyenaConfig& config : {kSmall, safari(kSmall)}) {
    INFO(form_of(config));
    check_gradients(make_hyena(config, Device::cpu, DType::f64), {.pass = &pass});
  }
}

}  // namespace
}  // namespace farsight
