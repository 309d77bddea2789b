// Mamba as a set of parameters: counts, names and shapes, config.json, first values.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <map>

#include "core/parallel.h"
#include "models/mamba.h"
#include "models/model.h"
#include "tests/temporary_folder.h"
#include "train/checkpoint.h"

namespace farsight {
namespace {

std::int64_t parameters_of(const MambaConfig& config) {
  return Mamba(config, Device::meta, DType::f32).parameters().count();
}

/// Large enough for statistics, small enough to fill in milliseconds.
MambaConfig sampled_config(Init init) {
  return {.vocab_size = 1000,
          .d_model = 64,
          .n_layer = 4,
          .d_state = 16,
          .d_conv = 4,
          .expand = 2,
          .dt_rank = 8,
          .gate_kernel = 32,
          .init = init};
}

/// The values of every parameter whose name ends like this, in every layer.
std::vector<double> values_of(Mamba& mamba, std::string_view ending) {
  std::vector<double> values;
  for (const ParameterStore::Entry& entry : mamba.parameters().entries()) {
    if (!entry.name.ends_with(ending)) continue;
    const Tensor wide = entry.parameter->master.to(DType::f64);
    values.insert(values.end(), wide.data<double>(), wide.data<double>() + wide.elements());
  }
  REQUIRE(!values.empty());
  return values;
}

struct Moments {
  double mean = 0, deviation = 0, least = 0, most = 0;
};

Moments moments_of(const std::vector<double>& values) {
  Moments m{.least = values[0], .most = values[0]};
  const double count = static_cast<double>(values.size());
  for (double x : values) {
    m.mean += x / count;
    m.least = std::min(m.least, x);
    m.most = std::max(m.most, x);
  }
  for (double x : values) {
    m.deviation += (x - m.mean) * (x - m.mean) / count;
  }
  m.deviation = std::sqrt(m.deviation);
  return m;
}

/// Uniform in (-limit, limit): reaches both ends, with the moments of it.
void check_uniform(const std::vector<double>& values, double limit) {
  const Moments m = moments_of(values);
  const double spread = 1 / std::sqrt(static_cast<double>(values.size()));
  CHECK(m.most <= limit);
  CHECK(m.least >= -limit);
  CHECK(m.most > limit * (1 - 20 * spread * spread));
  CHECK(m.least < -limit * (1 - 20 * spread * spread));
  CHECK(std::abs(m.mean) < 4 * limit * spread);
  CHECK(m.deviation == doctest::Approx(limit / std::sqrt(3.0)).epsilon(4 * spread));
}

void check_constant(const std::vector<double>& values, double expected) {
  const Moments m = moments_of(values);
  CHECK(m.least == expected);
  CHECK(m.most == expected);
}

std::string hash_of(const MambaConfig& config, std::uint64_t seed) {
  const Model model = make_mamba(config, Device::cpu, DType::f32);
  model.parameters->initialise(seed);
  return parameter_hash(model);
}

TEST_CASE("mamba: the parameter counts are those of the paper's models, exactly") {
  CHECK(parameters_of({}) == 129'135'360);
  CHECK(parameters_of({.d_state = 32}) == 130'904'832);
  CHECK(parameters_of({.d_state = 64}) == 134'443'776);
  CHECK(parameters_of({.gate_kernel = 128}) == 133'890'816);
  CHECK(parameters_of({.gate_kernel = 512, .gate_layers = {7, 15, 23}}) == 131'499'264);
  const MambaConfig tiny{.vocab_size = 20480, .d_model = 256, .n_layer = 8, .dt_rank = 32};
  CHECK(parameters_of(tiny) == 8'878'336);
}

TEST_CASE("mamba: names and shapes are those of the Hugging Face checkpoint") {
  Mamba mamba({.n_layer = 2, .gate_kernel = 128, .gate_layers = {1}}, Device::meta, DType::bf16);
  std::map<std::string, Shape> expected = {{"backbone.embeddings.weight", {50280, 768}},
                                           {"backbone.norm_f.weight", {768}}};
  for (int i = 0; i < 2; i++) {
    const std::string layer = fmt::format("backbone.layers.{}.", i);
    expected[layer + "norm.weight"] = {768};
    expected[layer + "mixer.in_proj.weight"] = {3072, 768};
    expected[layer + "mixer.conv1d.weight"] = {1536, 1, 4};
    expected[layer + "mixer.conv1d.bias"] = {1536};
    expected[layer + "mixer.x_proj.weight"] = {80, 1536};
    expected[layer + "mixer.dt_proj.weight"] = {1536, 48};
    expected[layer + "mixer.dt_proj.bias"] = {1536};
    expected[layer + "mixer.A_log"] = {1536, 16};
    expected[layer + "mixer.D"] = {1536};
    expected[layer + "mixer.out_proj.weight"] = {768, 1536};
  }
  expected["backbone.layers.1.mixer.module.module.weight"] = {1536, 1, 128};
  expected["backbone.layers.1.mixer.module.module.bias"] = {1536};
  CHECK(mamba.parameters().entries().size() == expected.size());
  for (const ParameterStore::Entry& entry : mamba.parameters().entries()) {
    INFO(entry.name);
    REQUIRE(expected.contains(entry.name));
    CHECK(entry.parameter->shape == expected[entry.name]);
    CHECK(entry.offset % 16 == 0);
  }
}

TEST_CASE("mamba: config.json reads back to the same model") {
  for (const MambaConfig& config : {MambaConfig{}, MambaConfig{.vocab_size = 77,
                                                   .d_model = 24,
                                                   .n_layer = 3,
                                                   .d_state = 5,
                                                   .d_conv = 3,
                                                   .expand = 3,
                                                   .dt_rank = 2,
                                                   .norm_eps = 1e-6,
                                                   .gate_kernel = 9,
                                                   .gate_layers = {0, 2}}}) {
    const std::string text = config.to_json().dump(2);
    const MambaConfig again = MambaConfig::from_json(Json::parse(text, "config.json"));
    CHECK(again.to_json().dump(2) == text);
    CHECK(again.gate_layers == config.gate_layers);
    CHECK(parameters_of(again) == parameters_of(config));
  }
}

TEST_CASE("mamba: a config.json that describes no model is refused by key") {
  const auto refusal = [](std::string_view key, const Json& value) {
    Json json = MambaConfig{.gate_kernel = 4}.to_json();
    json[key] = value;
    const std::string text = json.dump();
    ExitCode code = ExitCode::ok;
    const std::string message = error_of(
        [&] { make_model(Json::parse(text, "config.json"), Device::meta, DType::f32); }, &code);
    INFO(std::string(key), ": ", message);
    CHECK(code == ExitCode::corrupt);
    CHECK(mentions(message, "config.json"));
  };
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "state_size",
                          "conv_kernel", "expand", "time_step_rank"}) {
    for (const Json& value : {Json(0), Json(-1), Json(1.5), Json("16"), Json(), Json(1e300),
                              Json(std::uint64_t{1} << 63)}) {
      refusal(key, value);
    }
  }
  refusal("model_type", "pythia");
  refusal("layer_norm_epsilon", "small");
  refusal("gate_kernel", -1);
  refusal("gate_layers", Json::array({24}));
  CHECK(mentions(error_of([] { MambaConfig::from_json(Json::parse("{}", "config.json")); }),
                 "model_type"));
}

TEST_CASE("mamba: the largest sizes that config.json may name overflow nothing") {
  Json json = MambaConfig{}.to_json();
  json["gate_kernel"] = 1;
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "state_size",
                          "conv_kernel", "expand", "time_step_rank", "gate_kernel"}) {
    std::int64_t largest = 1;
    for (int bits = 1; bits < 62; bits++) {
      json[key] = std::int64_t{1} << bits;
      const Json parsed = Json::parse(json.dump(), "config.json");
      if (!error_of([&] { MambaConfig::from_json(parsed); }).empty()) break;
      largest = std::int64_t{1} << bits;
    }
    json[key] = largest;
  }
  const std::int64_t count = parameters_of(MambaConfig::from_json(json));
  CHECK(count > std::int64_t{1} << 40);
  CHECK(count < std::int64_t{1} << 56);
}

TEST_CASE("mamba: the standard initialisation has the original author's distributions") {
  const MambaConfig config = sampled_config(Init::standard);
  Mamba mamba(config, Device::cpu, DType::f32);
  mamba.parameters().initialise(7);
  const Moments embedding = moments_of(values_of(mamba, "embeddings.weight"));
  CHECK(std::abs(embedding.mean) < 4 * 0.02 / 253);
  CHECK(embedding.deviation == doctest::Approx(0.02).epsilon(0.012));
  CHECK(embedding.most > 0.07);
  CHECK(embedding.most < 0.12);
  check_uniform(values_of(mamba, "in_proj.weight"), 1 / std::sqrt(64.0));
  check_uniform(values_of(mamba, "conv1d.weight"), 0.5);
  check_uniform(values_of(mamba, "conv1d.bias"), 0.5);
  check_uniform(values_of(mamba, "x_proj.weight"), 1 / std::sqrt(128.0));
  check_uniform(values_of(mamba, "dt_proj.weight"), 1 / std::sqrt(8.0));
  check_uniform(values_of(mamba, "out_proj.weight"), 1 / std::sqrt(128.0) / 2);
  check_uniform(values_of(mamba, "module.module.weight"), 1 / std::sqrt(32.0));
  check_uniform(values_of(mamba, "module.module.bias"), 1 / std::sqrt(32.0));
  check_constant(values_of(mamba, "norm.weight"), 1);
  check_constant(values_of(mamba, "norm_f.weight"), 1);
  check_constant(values_of(mamba, "mixer.D"), 1);
  const std::vector<double> A_log = values_of(mamba, "A_log");
  for (std::size_t i = 0; i < A_log.size(); i++) {
    CHECK(A_log[i] ==
          static_cast<double>(static_cast<float>(std::log(static_cast<double>(i % 16 + 1)))));
  }
  std::vector<double> log_time;
  for (double bias : values_of(mamba, "dt_proj.bias")) {
    log_time.push_back(std::log(std::log1p(std::exp(bias))) - std::log(0.01));
  }
  const double limit = std::log(10.0) * (1 + 1e-5);  // f32 keeps the bias to 6e-8
  check_uniform(log_time, limit);
}

TEST_CASE("mamba: the released initialisation differs where the released code does") {
  MambaConfig config = sampled_config(Init::released);
  Mamba released(config, Device::cpu, DType::f32);
  released.parameters().initialise(7);
  config.init = Init::standard;
  Mamba standard(config, Device::cpu, DType::f32);
  standard.parameters().initialise(7);
  CHECK(moments_of(values_of(released, "embeddings.weight")).deviation ==
        doctest::Approx(0.1).epsilon(0.012));
  check_constant(values_of(released, "dt_proj.bias"), 0);
  check_uniform(values_of(released, "out_proj.weight"), 1 / std::sqrt(128.0));
  for (const char* same :
       {"norm.weight", "in_proj.weight", "conv1d.weight", "conv1d.bias", "x_proj.weight",
        "dt_proj.weight", "A_log", "mixer.D", "norm_f.weight"}) {
    INFO(same);
    CHECK(values_of(released, same) == values_of(standard, same));
  }
}

TEST_CASE("mamba: first values depend on seed and name alone") {
  const MambaConfig config = sampled_config(Init::standard);
  const int before = threads();
  set_threads(1);
  const std::string one = hash_of(config, 7);
  set_threads(2);
  CHECK(hash_of(config, 7) == one);
  set_threads(before);
  CHECK(hash_of(config, 8) != one);
  // Another model with a tensor of the same name and shape: the same numbers.
  MambaConfig plain = config;
  plain.gate_kernel = 0;
  plain.vocab_size = 500;
  Mamba with_gate(config, Device::cpu, DType::f32), without(plain, Device::cpu, DType::f32);
  with_gate.parameters().initialise(7);
  without.parameters().initialise(7);
  CHECK(values_of(with_gate, "in_proj.weight") == values_of(without, "in_proj.weight"));
  const std::vector<double> many = values_of(with_gate, "embeddings.weight");
  const std::vector<double> few = values_of(without, "embeddings.weight");
  CHECK(std::equal(few.begin(), few.end(), many.begin()));
  CHECK(values_of(with_gate, "layers.0.mixer.in_proj.weight") !=
        values_of(with_gate, "layers.1.mixer.in_proj.weight"));
}

}  // namespace
}  // namespace farsight
