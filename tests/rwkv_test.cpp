// RWKV as a set of parameters: counts, names, config.json, first values, and what is refused.
#include "models/rwkv.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/model.h"
#include "tests/model_checks.h"
#include "tests/preset_settings.h"
#include "tests/small_rwkv.h"
#include "tests/temporary_folder.h"

namespace farsight {
namespace {

TEST_CASE("rwkv: the presets' full sizes have the exact numbers of parameters") {
  CHECK(full_parameter_count("rwkv") == 153'323'520);
  CHECK(full_parameter_count("rwkv-169m") == 169'342'464);
  CHECK(full_parameter_count("rwkv-266m") == 266'684'416);
  CHECK(full_parameter_count("rwkv-430m") == 430'397'440);
  for (const char* preset : {"pocket", "tiny"}) {
    const Model authors = model_of(settings_of("rwkv", preset), Device::meta);
    const Model published = model_of(settings_of("rwkv-169m", preset), Device::meta);
    CHECK(authors.config.at("model_type").as_string() == "rwkv_mlp");
    CHECK(published.config.at("model_type").as_string() == "rwkv");
    CHECK(published.parameters->count() > authors.parameters->count());
  }
}

TEST_CASE("rwkv: names and shapes are those of the Hugging Face checkpoint") {
  Rwkv rwkv({.form = RwkvForm::published,
             .vocab_size = 50277,
             .d_model = 768,
             .n_layer = 2,
             .d_ff = 3072},
            Device::meta, DType::f32);
  NamesAndShapes expected = {{"rwkv.embeddings.weight", {50277, 768}},
                             {"rwkv.blocks.0.pre_ln.weight", {768}},
                             {"rwkv.blocks.0.pre_ln.bias", {768}}};
  for (const std::string block : {"rwkv.blocks.0.", "rwkv.blocks.1."}) {
    for (const char* norm : {"ln1.weight", "ln1.bias", "ln2.weight", "ln2.bias"}) {
      expected.push_back({block + norm, {768}});
    }
    expected.push_back({block + "attention.time_decay", {768}});
    expected.push_back({block + "attention.time_first", {768}});
    for (const char* mix : {"key", "value", "receptance"}) {
      expected.push_back({block + "attention.time_mix_" + mix, {1, 1, 768}});
    }
    for (const char* matrix : {"key", "value", "receptance", "output"}) {
      expected.push_back({block + "attention." + matrix + ".weight", {768, 768}});
    }
    expected.push_back({block + "feed_forward.time_mix_key", {1, 1, 768}});
    expected.push_back({block + "feed_forward.time_mix_receptance", {1, 1, 768}});
    expected.push_back({block + "feed_forward.key.weight", {3072, 768}});
    expected.push_back({block + "feed_forward.receptance.weight", {768, 768}});
    expected.push_back({block + "feed_forward.value.weight", {768, 3072}});
  }
  expected.push_back({"rwkv.ln_out.weight", {768}});
  expected.push_back({"rwkv.ln_out.bias", {768}});
  expected.push_back({"head.weight", {50277, 768}});
  check_names_and_shapes(rwkv.parameters(), expected);
}

TEST_CASE("rwkv: config.json reads back to the same model, and what is no RWKV-4 is refused") {
  for (const RwkvConfig& config : kBoth) {
    const Json json = Json::parse(config.to_json().dump(2), "config.json");
    CHECK(RwkvConfig::from_json(json).to_json() == config.to_json());
    CHECK(make_model(json, Device::meta, DType::f32).family == "rwkv");
  }
  const auto refusal = [](const RwkvConfig& config, std::string_view key, const Json& value) {
    Json json = config.to_json();
    json[key] = value;
    const Json parsed = Json::parse(json.dump(), "config.json");
    ExitCode code = ExitCode::ok;
    INFO(form_of(config), " ", std::string(key));
    const std::string message =
        error_of([&] { make_model(parsed, Device::meta, DType::f32); }, &code);
    CHECK(code == ExitCode::corrupt);
    CHECK(!message.empty());
  };
  for (const RwkvConfig& config : kBoth) {
    for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size",
                            "layer_norm_epsilon"}) {
      refusal(config, key, Json("16"));
    }
    refusal(config, "hidden_size", Json(0));
    refusal(config, "tie_word_embeddings", Json(config.published()));
    refusal(config, "model_type", Json("rwkv5"));
  }
  refusal(kPublished, "attention_hidden_size", Json(8));
  refusal(kAuthors, "max_position_embeddings", Json());
  refusal(kAuthors, "embed_dropout", Json(1.0));
  // What transformers leaves to the width.
  Json json = kPublished.to_json();
  json["attention_hidden_size"] = Json();
  json["intermediate_size"] = Json();
  CHECK(RwkvConfig::from_json(json).d_ff == 4 * kPublished.d_model);
}

TEST_CASE("rwkv: it starts as the released code does") {
  const RwkvConfig config{.vocab_size = 97, .d_model = 64, .n_layer = 4, .d_ff = 128, .l_max = 50};
  Rwkv rwkv(config, Device::cpu, DType::f64);
  rwkv.parameters().initialise(3);
  const auto values = [&](const std::string& name) {
    const ParameterStore::Entry* entry = rwkv.parameters().find(name);
    REQUIRE(entry != nullptr);
    const Tensor& t = entry->parameter->master;
    return std::vector<double>(t.data<double>(), t.data<double>() + t.elements());
  };
  for (int layer = 0; layer < 4; layer++) {
    const std::string mixer = fmt::format("backbone.layers.{}.sequence_mixer.", layer);
    const double r01 = layer / 3.0, r10 = 1 - layer / 4.0;
    const auto decay = values(mixer + "time_decay"), first = values(mixer + "time_first");
    const auto k = values(mixer + "time_mix_k"), v = values(mixer + "time_mix_v");
    const auto r = values(mixer + "time_mix_r");
    for (std::size_t h = 0; h < 64; h++) {
      const double x = static_cast<double>(h) / 64, share = static_cast<double>(h) / 63;
      CHECK(decay[h] == doctest::Approx(-5 + 8 * std::pow(share, 0.7 + 1.3 * r01)));
      const double step = h % 3 == 0 ? 0 : h % 3 == 1 ? 0.5 : -0.5;
      CHECK(first[h] == doctest::Approx(std::log(0.3) + step));
      CHECK(k[h] == doctest::Approx(std::pow(x, r10)));
      CHECK(v[h] == doctest::Approx(std::pow(x, r10) + 0.3 * r01));
      CHECK(r[h] == doctest::Approx(std::pow(x, r10 / 2)));
    }
  }
  const auto deviation = [&](const std::string& name) {
    const auto all = values(name);
    const double squares = std::inner_product(all.begin(), all.end(), all.begin(), 0.0);
    return std::sqrt(squares / static_cast<double>(all.size()));
  };
  const std::string layer = "backbone.layers.2.";
  CHECK(deviation("backbone.embeddings.word_embeddings.weight") ==
        doctest::Approx(0.02).epsilon(0.03));
  CHECK(deviation("backbone.embeddings.position_embeddings.weight") ==
        doctest::Approx(0.02).epsilon(0.05));
  CHECK(deviation(layer + "state_mixer.fc1.weight") == doctest::Approx(0.02).epsilon(0.03));
  CHECK(deviation(layer + "state_mixer.fc2.weight") ==
        doctest::Approx(0.02 / std::sqrt(8.0)).epsilon(0.03));
  CHECK(deviation(layer + "state_mixer.fc1.bias") == 0);
  for (const char* matrix : {"key", "value", "receptance", "output"}) {  // U(-1/8, 1/8)
    const auto all = values(layer + "sequence_mixer." + matrix + ".weight");
    CHECK(std::ranges::max(all) <= 0.125);
    CHECK(deviation(layer + "sequence_mixer." + matrix + ".weight") ==
          doctest::Approx(0.125 / std::sqrt(3.0)).epsilon(0.03));
  }
  for (const ParameterStore::Entry& entry : rwkv.parameters().entries()) {
    if (entry.parameter->shape.n == 3) CHECK(!entry.parameter->decays_as_matrix);
  }
}

TEST_CASE("rwkv: more tokens than learned positions are refused; the published form has no end") {
  RwkvConfig config = kAuthors;
  config.l_max = 8;
  Rwkv rwkv(config, Device::cpu, DType::f32);
  shake(rwkv.parameters(), 4);
  const auto refusal = [&](const auto& call) {
    ExitCode code = ExitCode::ok;
    const std::string message = error_of(call, &code);
    CHECK(code == ExitCode::data);
    CHECK(message.find("9 tokens is longer than the model's 8 learned") != std::string::npos);
  };
  refusal([&] { all_logits(rwkv, indices(some_tokens(9, 13), {1, 9})); });
  RwkvState state = rwkv.empty_state(1);
  all_logits(rwkv, indices(some_tokens(8, 13), {1, 8}), nullptr, &state);
  refusal([&] { all_logits(rwkv, indices({1}, {1, 1}), nullptr, &state); });
  // A run that could not be is refused before it begins, by the name of its setting.
  Settings settings = settings_of("rwkv", "tiny");
  settings.data.lengths = {64, 1024};
  ExitCode code = ExitCode::ok;
  const std::string message = error_of([&] { model_of(settings, Device::meta); }, &code);
  CHECK(code == ExitCode::usage);
  CHECK(message.find("1024 tokens are more than model.l_max = 512") != std::string::npos);
  settings.run.model = "rwkv-169m";
  CHECK_NOTHROW(model_of(settings, Device::meta));
}

}  // namespace
}  // namespace farsight
