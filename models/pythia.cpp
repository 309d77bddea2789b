#include "models/pythia.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "ops/attention.h"
#include "ops/embedding.h"
#include "ops/gather_rows.h"
#include "ops/gelu.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"

namespace farsight {
namespace {

/// The authors train it with the Hugging Face class (GPTNeoXForCausalLM) and its initialiser.
constexpr double kDeviation = 0.02;

Parameter matrix(std::int64_t out, std::int64_t in) {
  return {{out, in}, Distribution::normal(kDeviation), Role::matrix};
}
Parameter vector_of(std::int64_t size, double value) {
  return {{size}, Distribution::constant(value)};
}

/// Share and base of the rotary positions, where `json` has them.
void read_rotation(const Json& json, const char* share_key, const char* base_key, PythiaConfig& c) {
  if (const Json* share = json.find(share_key)) {
    c.rotary_pct = share->as_double();
    if (!(c.rotary_pct >= 0 && c.rotary_pct <= 1)) share->refuse("expected a share from 0 to 1");
  }
  if (const Json* base = json.find(base_key)) {
    c.rotary_base = base->as_double();
    if (!(c.rotary_base >= 1 && c.rotary_base <= 1e12)) base->refuse("expected 1 to 1e12");
  }
}

}  // namespace

std::int64_t PythiaConfig::rotary() const {
  return static_cast<std::int64_t>(rotary_pct * static_cast<double>(head_dim()));
}

void PythiaConfig::validate() const {
  const auto positive = [](const char* name, std::int64_t value) {
    require(value >= 1, ExitCode::data, "pythia: {} must be at least 1, got {}", name, value);
  };
  positive("vocab_size", vocab_size);
  positive("d_model", d_model);
  positive("n_layer", n_layer);
  positive("n_head", n_head);
  positive("d_ff", d_ff);
  require(d_model % n_head == 0, ExitCode::data,
          "pythia: d_model must be a multiple of n_head, got {} and {}", d_model, n_head);
  require(head_dim() <= kAttentionMaxHead, ExitCode::data,
          "pythia: a head must have at most {} dims, got d_model / n_head = {}", kAttentionMaxHead,
          head_dim());
  require(rotary_pct >= 0 && rotary_pct <= 1 && rotary() % 2 == 0, ExitCode::data,
          "pythia: rotary_pct must give an even number of a head's {} dims, got {} of them",
          head_dim(), rotary());
}

Json PythiaConfig::to_json() const {
  return Json::object({{"architectures", Json::array({"GPTNeoXForCausalLM"})},
                       {"model_type", "gpt_neox"},
                       {"vocab_size", vocab_size},
                       {"hidden_size", d_model},
                       {"num_hidden_layers", n_layer},
                       {"num_attention_heads", n_head},
                       {"intermediate_size", d_ff},
                       {"hidden_act", "gelu"},
                       {"rotary_pct", rotary_pct},
                       {"rotary_emb_base", rotary_base},
                       {"max_position_embeddings", max_length},
                       {"layer_norm_eps", norm_eps},
                       {"initializer_range", kDeviation},
                       {"use_parallel_residual", true},
                       {"attention_bias", true},
                       {"tie_word_embeddings", false}});
}

PythiaConfig PythiaConfig::from_json(const Json& json) {
  // The ranges of the settings: whatever such a file says, sizes in bytes fit 64 bits.
  constexpr std::int64_t kWidest = 65536;
  const Json& type = json.at("model_type");
  if (type.as_string() != "gpt_neox") type.refuse("expected model_type \"gpt_neox\"");
  PythiaConfig c;
  c.vocab_size = json.at("vocab_size").as_int(1, 1 << 20);
  c.d_model = json.at("hidden_size").as_int(1, kWidest);
  c.n_layer = json.at("num_hidden_layers").as_int(1, 1024);
  c.n_head = json.at("num_attention_heads").as_int(1, kWidest);
  c.d_ff = json.at("intermediate_size").as_int(1, 4 * kWidest);
  c.norm_eps = json.at("layer_norm_eps").as_double();
  read_rotation(json, "rotary_pct", "rotary_emb_base", c);
  if (const Json* rotation = json.find("rope_parameters"); rotation && !rotation->is_null()) {
    read_rotation(*rotation, "partial_rotary_factor", "rope_theta", c);
    const Json* kind = rotation->find("rope_type");
    if (kind != nullptr && kind->as_string() != "default") {
      kind->refuse("rope_parameters: expected the rope_type \"default\"");
    }
  }
  if (const Json* scaling = json.find("rope_scaling"); scaling && !scaling->is_null()) {
    scaling->refuse("rope_scaling: expected null; the angles of this model are not scaled");
  }
  if (const Json* most = json.find("max_position_embeddings")) {
    c.max_length = most->as_int(1, 1 << 30);
  }
  const auto must_be = [&](const char* key, bool wanted) {
    const Json* flag = json.find(key);
    if (flag != nullptr && flag->as_bool() != wanted) {
      flag->refuse(fmt::format("{}: expected {}; this model has no other form", key, wanted));
    }
  };
  must_be("use_parallel_residual", true);
  must_be("attention_bias", true);
  must_be("tie_word_embeddings", false);
  if (const Json* activation = json.find("hidden_act")) {
    if (activation->as_string() != "gelu") {
      activation->refuse("hidden_act: expected \"gelu\", the exact one");
    }
  }
  return c;
}

Pythia::Norm Pythia::make_norm() const {
  return {vector_of(config_.d_model, 1), vector_of(config_.d_model, 0)};
}

Pythia::Layer Pythia::make_layer() const {
  const std::int64_t d = config_.d_model, ff = config_.d_ff;
  return {.input = make_norm(),
          .post = make_norm(),
          .qkv_weight = matrix(3 * d, d),
          .qkv_bias = vector_of(3 * d, 0),
          .dense_weight = matrix(d, d),
          .dense_bias = vector_of(d, 0),
          .up_weight = matrix(ff, d),
          .up_bias = vector_of(ff, 0),
          .down_weight = matrix(d, ff),
          .down_bias = vector_of(d, 0)};
}

Pythia::Pythia(const PythiaConfig& config, Device device, DType compute)
    : config_(config), device_(device), compute_(compute) {
  config_.validate();
  embed_in_ = matrix(config_.vocab_size, config_.d_model);
  embed_in_.role = Role::other;  // rows of it are read, in f32; no product has it as an operand
  embed_out_ = matrix(config_.vocab_size, config_.d_model);
  final_norm_ = make_norm();
  for (std::int64_t i = 0; i < config_.n_layer; i++) {
    layers_.push_back(make_layer());
  }
  parameters_ = std::make_unique<ParameterStore>([this](const ParameterVisitor& f) { visit(f); },
                                                 device, compute);
}

void Pythia::visit(const ParameterVisitor& f) {
  const auto norm = [&](const std::string& name, Norm& parameters) {
    f(name + ".weight", parameters.weight);
    f(name + ".bias", parameters.bias);
  };
  f("gpt_neox.embed_in.weight", embed_in_);
  for (std::size_t i = 0; i < layers_.size(); i++) {
    Layer& layer = layers_[i];
    const std::string prefix = fmt::format("gpt_neox.layers.{}.", i);
    norm(prefix + "input_layernorm", layer.input);
    norm(prefix + "post_attention_layernorm", layer.post);
    f(prefix + "attention.query_key_value.weight", layer.qkv_weight);
    f(prefix + "attention.query_key_value.bias", layer.qkv_bias);
    f(prefix + "attention.dense.weight", layer.dense_weight);
    f(prefix + "attention.dense.bias", layer.dense_bias);
    f(prefix + "mlp.dense_h_to_4h.weight", layer.up_weight);
    f(prefix + "mlp.dense_h_to_4h.bias", layer.up_bias);
    f(prefix + "mlp.dense_4h_to_h.weight", layer.down_weight);
    f(prefix + "mlp.dense_4h_to_h.bias", layer.down_bias);
  }
  norm("gpt_neox.final_layer_norm", final_norm_);
  f("embed_out.weight", embed_out_);
}

PythiaState Pythia::empty_state(std::int64_t batch) const {
  PythiaState state;
  for (std::size_t i = 0; i < layers_.size(); i++) {
    state.cache.push_back(
        Tensor::empty({batch, 0, 2 * config_.d_model}, compute_, device_, "state"));
  }
  return state;
}

void Pythia::make_room(PythiaState& state, std::int64_t tokens) const {
  const std::int64_t needed = state.length + tokens, had = state.cache[0].dim(1);
  if (needed <= had) return;
  const std::int64_t capacity = std::max({needed, 2 * had, std::int64_t{64}});
  const std::int64_t width = 2 * config_.d_model;
  for (Tensor& cache : state.cache) {
    const std::int64_t B = cache.dim(0);
    const Tensor wider = Tensor::empty({B, capacity, width}, compute_, device_, "state");
    const Tensor to = wider.reshape({B * capacity, width}), from = cache.reshape({B * had, width});
    for (std::int64_t b = 0; b < B && state.length > 0; b++) {
      to.range(b * capacity, state.length).copy_from(from.range(b * had, state.length));
    }
    cache = wider;
  }
}

template <class Shown>
Tensor Pythia::run(const Tensor& tokens, const Tensor& rows, const Tensor* position,
                   PythiaState* state, const Shown& shown) {
  check(tokens.shape().n == 2, "pythia: tokens must be [B, T], got {}", tokens.shape());
  check(state == nullptr || state->cache.size() == layers_.size(),
        "pythia: the state has {} layers, the model {}", state ? state->cache.size() : 0,
        layers_.size());
  const AttentionOptions options{.heads = config_.n_head,
                                 .rotary = config_.rotary(),
                                 .base = config_.rotary_base,
                                 .position = position};
  const double eps = config_.norm_eps;
  if (state != nullptr) make_room(*state, tokens.dim(1));
  Tensor residual = embedding(tokens, embed_in_.master);
  Tensor attended, mixed;
  for (std::size_t i = 0; i < layers_.size(); i++) {
    Layer& layer = layers_[i];
    const NameScope scope(fmt::format("layer {}", i));
    const Affine input{layer.input.weight.master, layer.input.bias.master};
    const Affine post{layer.post.weight.master, layer.post.bias.master};
    const auto [x, h] =
        i == 0 ? layer_norm_pair(residual, input, post, eps, compute_)
               : add_layer_norm_pair(residual, {attended, &mixed}, input, post, eps, &residual);
    const Tensor qkv = linear(x, layer.qkv_weight.operand, &layer.qkv_bias.master);
    shown(static_cast<std::int64_t>(i), AttentionInputs{qkv, options});
    const Tensor o = state ? attention_step(qkv, state->cache[i], state->length, options)
                           : attention(qkv, options);
    attended = linear(o, layer.dense_weight.operand, &layer.dense_bias.master);
    const Tensor up = gelu(linear(h, layer.up_weight.operand, &layer.up_bias.master));
    mixed = linear(up, layer.down_weight.operand, &layer.down_bias.master);
  }
  if (state != nullptr) state->length += tokens.dim(1);
  // Only the asked rows go through the last norm: the others have no use for it.
  const Tensor last_residual = gather_rows(residual, rows);
  const Tensor last_attended = gather_rows(attended, rows), last_mixed = gather_rows(mixed, rows);
  Tensor sum;
  return add_layer_norm(last_residual, {last_attended, &last_mixed},
                        {final_norm_.weight.master, final_norm_.bias.master}, eps, &sum);
}

Tensor Pythia::features(const Tensor& tokens, const Tensor& rows, const Tensor* position,
                        PythiaState* state) {
  return run(tokens, rows, position, state, NoProbe{});
}

void Pythia::probe(const Tensor& tokens, const Probe& probe) {
  const NoTape inference;
  run(tokens, some_row(tokens.device()), nullptr, nullptr, probe);
}

}  // namespace farsight
