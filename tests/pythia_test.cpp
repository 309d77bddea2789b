// Pythia as a set of parameters and as a function: counts, names, config.json, first values; against
// a naive implementation, packed rows, step mode, bf16, gradients.
#include "models/pythia.h"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "autograd/tape.h"
#include "models/model.h"
#include "ops/linear.h"
#include "ops/linear_cross_entropy.h"
#include "tests/naive_pythia.h"
#include "tests/small_mamba.h"
#include "tests/temporary_folder.h"
#include "train/from_settings.h"
#include "train/resolve.h"

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

/// Logits [B * T, V] of every position.
Tensor all_logits(Pythia& pythia, const Tensor& tokens, const Tensor* position = nullptr,
                  PythiaState* state = nullptr) {
  const NoTape inference;
  const Tensor rows = all_rows(tokens.elements());
  return linear(pythia.features(tokens, rows, position, state), pythia.head().operand)
      .to(DType::f64);
}

/// Largest difference, relative to the largest value.
double distance(const Tensor& a, const Tensor& b) {
  REQUIRE(a.elements() == b.elements());
  double most = 0, scale = 0;
  for (std::int64_t i = 0; i < a.elements(); i++) {
    const double difference = std::abs(a.data<double>()[i] - b.data<double>()[i]);
    most = std::isfinite(difference) ? std::max(most, difference) : INFINITY;
    scale = std::max(scale, std::abs(b.data<double>()[i]));
  }
  return most / scale;
}

TEST_CASE("pythia: the parameter counts are those of the checkpoints") {
  CHECK(parameters_of({.n_layer = 8}) == 133'971'456);
  CHECK(parameters_of({}) == 162'322'944);
}

TEST_CASE("pythia: the presets' full sizes are the published ones") {
  const auto count = [](std::string_view model) {
    const Resolved full =
        resolve({}, {{&setting_named("run.model"), std::string(model), "test"},
                     {&setting_named("run.preset"), std::string("full"), "test"}});
    return model_of(full.settings, Device::meta).parameters->count();
  };
  CHECK(count("pythia") == 133'971'456);
  CHECK(count("pythia-160m") == 162'322'944);
  CHECK(count("mamba") == 129'135'360);
}

TEST_CASE("pythia: names and shapes are those of the Hugging Face checkpoint") {
  Pythia pythia({.n_layer = 1}, Device::meta, DType::f32);
  const std::string layer = "gpt_neox.layers.0.";
  const std::vector<std::pair<std::string, Shape>> expected = {
      {"gpt_neox.embed_in.weight", {50304, 768}},
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
  const auto& entries = pythia.parameters().entries();
  REQUIRE(entries.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); i++) {
    CHECK(entries[i].name == expected[i].first);
    CHECK(entries[i].parameter->shape == expected[i].second);
  }
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
    Pythia pythia(config, Device::cpu, DType::f64);
    shake(pythia.parameters(), 3);
    const std::int64_t B = 2, T = 71;  // longer than a tile of queries
    const Tokens tokens = some_tokens(B * T, config.vocab_size);
    const Tensor logits = all_logits(pythia, indices(tokens, {B, T}));
    const NaivePythia naive(pythia);
    Tensor expected = Tensor::zeros(logits.shape(), DType::f64);
    for (std::int64_t b = 0; b < B; b++) {
      const auto first = tokens.begin() + b * T;
      const auto rows = naive.logits({first, first + T});
      for (std::size_t t = 0; t < rows.size(); t++) {
        std::copy(
            rows[t].begin(), rows[t].end(),
            expected.data<double>() + (b * T + static_cast<std::int64_t>(t)) * config.vocab_size);
      }
    }
    CHECK(distance(logits, expected) <= 1e-10);
  }
}

TEST_CASE("pythia: packed rows give what separate rows give") {
  Pythia pythia(kSmall, Device::cpu, DType::f64);
  shake(pythia.parameters(), 7);
  const Tokens first = some_tokens(5, 13), second = some_tokens(80, 11);
  Tokens joined = first, position(5);
  joined.insert(joined.end(), second.begin(), second.end());
  std::iota(position.begin(), position.end(), 0);
  for (int t = 0; t < 80; t++) {
    position.push_back(t);
  }
  const Tensor where = indices(position, {1, 85});
  const Tensor packed = all_logits(pythia, indices(joined, {1, 85}), &where);
  CHECK(distance(packed.range(0, 5), all_logits(pythia, indices(first, {1, 5}))) <= 1e-12);
  CHECK(distance(packed.range(5, 80), all_logits(pythia, indices(second, {1, 80}))) <= 1e-12);
}

/// Logits of tokens [2, T] fed in pieces of these lengths.
Tensor in_pieces(Pythia& pythia, const Tokens& tokens, std::int64_t T,
                 const std::vector<std::int64_t>& lengths) {
  const std::int64_t V = pythia.config().vocab_size;
  Tensor logits = Tensor::zeros({2 * T, V}, DType::f64);
  PythiaState state = pythia.empty_state(2);
  std::int64_t begin = 0;
  for (const std::int64_t length : lengths) {
    Tokens piece;
    for (std::int64_t b = 0; b < 2; b++) {
      const auto from = tokens.begin() + b * T + begin;
      piece.insert(piece.end(), from, from + length);
    }
    const Tensor part = all_logits(pythia, indices(piece, {2, length}), nullptr, &state);
    for (std::int64_t b = 0; b < 2; b++) {
      std::copy_n(part.data<double>() + b * length * V, length * V,
                  logits.data<double>() + (b * T + begin) * V);
    }
    begin += length;
  }
  REQUIRE(begin == T);
  REQUIRE(state.length == T);
  return logits;
}

TEST_CASE("pythia: token by token and in uneven pieces it computes what one pass computes") {
  constexpr std::int64_t T = 70;  // the cache grows once
  for (const auto& [dtype, tolerance] :
       {std::pair{DType::f64, 1e-10}, {DType::f32, 1e-5}, {DType::bf16, 0.05}}) {
    INFO(std::string(name_of(dtype)));
    Pythia pythia(kSmall, Device::cpu, dtype);
    shake(pythia.parameters(), 9);
    const Tokens tokens = some_tokens(2 * T, 13);
    const Tensor whole = all_logits(pythia, indices(tokens, {2, T}));
    CHECK(distance(in_pieces(pythia, tokens, T, std::vector<std::int64_t>(T, 1)), whole) <=
          tolerance);
    CHECK(distance(in_pieces(pythia, tokens, T, {1, 2, 58, 3, 5, 1}), whole) <= tolerance);
    CHECK(distance(in_pieces(pythia, tokens, T, {69, 1}), whole) <= tolerance);
  }
}

TEST_CASE("pythia: a decoder remembers its own sequences and nobody else's") {
  const Model model = make_pythia(kSmall, Device::cpu, DType::f64);
  shake(*model.parameters, 10);
  const Tokens tokens = some_tokens(12, 13);
  const Tensor expected = logits_at(model, indices(tokens, {1, 12}), indices({11}, {1}));
  const Decoder one = model.decoder(1), other = model.decoder(1);
  Tensor last = one(indices({tokens.begin(), tokens.begin() + 8}, {1, 8}));
  for (std::size_t i = 8; i < 12; i++) {
    other(indices({1}, {1, 1}));
    last = one(indices({tokens[i]}, {1, 1}));
  }
  CHECK(distance(last, expected) <= 1e-10);
}

TEST_CASE("pythia: computing in bf16 stays close to f32") {
  const PythiaConfig config{.vocab_size = 13, .d_model = 32, .n_layer = 2, .n_head = 2, .d_ff = 64};
  Pythia exact(config, Device::cpu, DType::f32), rounded(config, Device::cpu, DType::bf16);
  exact.parameters().initialise(11);
  rounded.parameters().initialise(11);
  const Tensor tokens = indices(some_tokens(80, 13), {2, 40});
  const double error = distance(all_logits(rounded, tokens), all_logits(exact, tokens));
  CHECK(error <= 0.04);
  CHECK(error > 1e-5);
}

/// Loss of the labelled rows and, when `learn`, its gradients.
double loss_of(Pythia& pythia, const Tensor& tokens, const Tensor* position, bool learn) {
  const Tensor rows = indices({1, 2, 9, 10, 15, 21}, {6});
  const Tensor targets = indices({3, 0, 12, 7, 7, 1}, {6});
  pythia.parameters().forget_gradients();
  const Tensor one = Tensor::zeros({1}, DType::f64);
  one.data<double>()[0] = 1;
  Tape tape;
  const Tensor loss = linear_cross_entropy(pythia.features(tokens, rows, position),
                                           pythia.head().operand, targets, 1.0 / 6);
  const double value = loss.data<double>()[0];
  if (learn) tape.backward(loss, one);
  if (learn) pythia.parameters().complete_gradients();
  return value;
}

TEST_CASE("pythia: the gradient of the whole model equals central differences in f64") {
  const Tensor tokens = indices(some_tokens(22, 13), {2, 11});
  const Tensor packed =
      indices({0, 1, 2, 3, 4, 0, 1, 2, 0, 1, 2, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {2, 11});
  for (const Tensor* position : {static_cast<const Tensor*>(nullptr), &packed}) {
    Pythia pythia(kSmall, Device::cpu, DType::f64);
    ParameterStore& parameters = pythia.parameters();
    shake(parameters, 6);
    loss_of(pythia, tokens, position, true);
    const Tensor gradients = parameters.gradients().to(DType::f64);
    double all = 0;
    for (double g : gradients.span<double>()) {
      all += g * g;
    }
    all = std::sqrt(all);
    std::uint64_t stream = 100;
    for (const ParameterStore::Entry& entry : parameters.entries()) {
      INFO(entry.name, ", packed ", position != nullptr);
      const double* g = gradients.data<double>() + entry.offset;
      double* p = entry.parameter->master.data<double>();
      const Tensor start = entry.parameter->master.to(DType::f64);
      const Tensor direction = random_normal({entry.count}, DType::f64, 8, stream++);
      const double* v = direction.data<double>();
      const auto loss_at = [&](double step) {
        for (std::int64_t i = 0; i < entry.count; i++) {
          p[i] = start.data<double>()[i] + step * v[i];
        }
        return loss_of(pythia, tokens, position, false);
      };
      constexpr double h = 2e-4;  // with four points the error is of order h^4
      const double numeric =
          (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
      loss_at(0);
      double analytic = 0, norm = 0;
      for (std::int64_t i = 0; i < entry.count; i++) {
        analytic += g[i] * v[i];
        norm += g[i] * g[i];
      }
      CHECK(norm > 0);
      // Beside the rest of the model, a tiny gradient only has to be right to 1e-10 of it.
      const double floor = std::max(0.1 * std::sqrt(norm), 1e-4 * all);
      CHECK(std::abs(analytic - numeric) <= 1e-6 * std::max(std::abs(numeric), floor));
    }
  }
}

}  // namespace
}  // namespace farsight
